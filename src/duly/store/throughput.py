"""How many runs have ended in each period of the last hour, day and week, and how late they were.

Maintenance moves the counts that transactions insert (see `duly.store.outcomes`) into rows of
three widths, one for each window, so that a chart of any window reads about a hundred periods and
never a run. What it has not moved yet is read beside them, in the same statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, func, or_, select, union_all

from duly.store.tables import outcome_count, outcome_period
from duly.store.transaction import Transaction


class Periods(NamedTuple):
    """The periods of a window.

    Attributes:
        width: the seconds of each.
        number: how many there are; the last is the present one.
        keep: the seconds for which their rows are kept.
    """

    width: int
    number: int
    keep: int


WINDOWS: Mapping[str, Periods] = {
    "1h": Periods(60, 60, 2 * 3600),
    "24h": Periods(900, 96, 2 * 86_400),
    "7d": Periods(7200, 84, 14 * 86_400),
}
_KEY = ("width", "start", "outcome", "lateness")


class Ended(NamedTuple):
    """Runs that ended in one minute or period with one outcome, and in one bucket of lateness.

    Attributes:
        start: the seconds from 1970 to the start of that minute or period.
        outcome: the state in which they ended.
        lateness: see `duly.model.lateness`.
    """

    start: int
    outcome: str
    lateness: int


def add(tx: Transaction, counts: Mapping[Ended, int]) -> None:
    """Add counts of minutes to the periods of each window."""
    sums: Counter[tuple[int, Ended]] = Counter()
    for width, _number, _keep in WINDOWS.values():
        for ended, count in counts.items():
            sums[width, ended._replace(start=ended.start - ended.start % width)] += count
    rows: list[dict[str, Any]] = [
        {"width": width, **ended._asdict(), "count": count}
        for (width, ended), count in sorted(sums.items())
    ]
    if rows:
        tx.dialect.add_counts(tx.conn, outcome_period, rows, _KEY)


def read(conn: Connection, periods: Periods, since: int) -> dict[Ended, int]:
    """Return how many runs have ended in each period.

    Args:
        conn: the connection.
        periods: see `WINDOWS`.
        since: the start of the first period.
    """
    known, fresh = outcome_period.c, outcome_count.c
    moved = select(known.start, known.outcome, known.lateness, known["count"]).where(
        known.width == periods.width, known.start >= since
    )
    start = fresh.minute - fresh.minute % periods.width
    not_moved = select(start, fresh.outcome, fresh.lateness, fresh["count"]).where(
        fresh.minute >= since
    )
    both = union_all(moved, not_moved).subquery().c
    key = (both.start, both.outcome, both.lateness)
    statement = select(*key, func.sum(both["count"])).group_by(*key)
    rows = conn.execute(statement).all()
    return {Ended(start, outcome, late): int(count) for start, outcome, late, count in rows}


def prune(tx: Transaction, limit: int) -> int:
    """Delete the rows of periods that no window shows any more.

    Args:
        tx: the transaction.
        limit: ignored, because few periods end between two calls.
    """
    del limit
    old = (
        and_(outcome_period.c.width == width, outcome_period.c.start < tx.minute - keep)
        for width, _number, keep in WINDOWS.values()
    )
    return tx.conn.execute(delete(outcome_period).where(or_(*old))).rowcount
