"""The claim on PostgreSQL: one statement with the row locks inside, for a few runs at a time.

The row lock is inside a materialized CTE: a plain ``IN (SELECT … LIMIT n)`` was seen to claim 12
rows for LIMIT 1 under a bad plan.

A claim leaves dead entries in the index of ready runs, and while any session holds an older
snapshot they cannot be removed: a scan from the beginning of the index passes them all. So the scan
begins at marks, one for each priority: from each mark to the next higher priority that has a mark.
A comparison of rows makes a mark a position in the index, so that entries before it are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    SmallInteger,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.types import TypeEngine

from duly.store.claims.query import CLAIMED, chosen_runs, claim_order
from duly.store.dialect import Choice, Mark
from duly.store.sql.bulk_insert import array
from duly.store.sql.columns import Id, Instant
from duly.store.sql.long_lists import among
from duly.store.tables import run
from duly.store.transitions import claim_values

AT_ONCE = 25
"""Runs that one statement claims: one costs the server 13 µs, so that it takes about 0.5 ms."""

_BEGINNING = ("-32768", "-infinity", "00000000-0000-0000-0000-000000000000")
_END = 32768


def claim(
    conn: Connection, wanted: Mapping[str, Any], choice: Choice, marks: Sequence[Mark]
) -> list[Row[Any]]:
    """See `StoreDialect.claim`."""
    if choice is Choice.LISTED:
        return sorted(conn.execute(_LISTED, wanted).all(), key=claim_order)
    taken: list[Row[Any]] = []
    while True:
        size = min(AT_ONCE, wanted["limit"] - len(taken))
        places = _places(marks, taken[-1] if taken else None)
        rows = conn.execute(_CLAIMS[choice], {**wanted, **places, "limit": size}).all()
        taken += sorted(rows, key=claim_order)
        if len(rows) < size or len(taken) == wanted["limit"]:
            return taken


def _places(marks: Sequence[Mark], last: Row[Any] | None) -> dict[str, str]:
    """Return where the scan begins, where it jumps to, and where each of its parts ends.

    Args:
        marks: the low-water marks, sorted.
        last: the run that was claimed last; the scan continues after it.
    """
    begin = _BEGINNING
    if last is not None:
        marks = [mark for mark in marks if mark.priority > last.priority]
        begin = (str(last.priority), last.due_at.isoformat(), last.id)
    starts = [begin, *((str(at.priority), at.due_at.isoformat(), at.id) for at in marks)]
    priorities, dues, ids = (array(column) for column in zip(*starts, strict=True))
    befores = array([*(mark.priority for mark in marks), _END])
    return {"priorities": priorities, "dues": dues, "ids": ids, "befores": befores}


def _array(name: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return a parameter that takes an array as text, because drivers adapt arrays slowly."""
    return cast(bindparam(name, type_=Text), ARRAY(kind))


def _walk(choice: Choice) -> Select[Any]:
    """Select and lock the next runs in claim order, part by part, until there are enough."""
    start = (
        func.unnest(
            _array("priorities", SmallInteger()),
            _array("dues", Instant()),
            _array("ids", Id),
            _array("befores", Integer()),
        )
        .table_valued(column("priority"), column("due_at"), column("id"), column("before"))
        .render_derived(name="start")
    )
    place = tuple_(run.c.priority, run.c.due_at, run.c.id)
    known = among("postgresql", run.c.task, "tasks")  # the SQL is the same for any number of tasks
    part = chosen_runs(choice, known).where(
        place >= tuple_(start.c.priority, start.c.due_at, start.c.id),
        run.c.priority < start.c.before,
    )
    found = part.with_for_update(skip_locked=True).correlate(start).lateral("found")
    return select(found.c.id).select_from(start.join(found, true())).limit(bindparam("limit"))


def _claiming(chosen: Select[Any]) -> Any:
    ready = chosen.cte("ready").prefix_with("MATERIALIZED", dialect="postgresql")
    return update(run).where(run.c.id == ready.c.id).values(claim_values()).returning(*_ANSWER)


_ANSWER = [
    cast(column, Text).label(column.name) if column.type is Id else column for column in CLAIMED
]
"""As text: the drivers would make UUID objects, three for each run, to be converted again."""

_LISTED = _claiming(chosen_runs(Choice.LISTED).with_for_update(skip_locked=True))
_CLAIMS = {choice: _claiming(_walk(choice)) for choice in (Choice.PLAIN, Choice.PREFETCH)}
