"""Named calendars, each stored once and used by many jobs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select

from duly import triggers
from duly.errors import PayloadError, TriggerError
from duly.store.rows import JobRow, job_rows
from duly.store.tables import calendar, job
from duly.store.transaction import Transaction
from duly.triggers import Calendar

log = logging.getLogger("duly")
_MARK = '"kind":"named","name":'


def known(conn: Connection) -> dict[str, Calendar]:
    """Return the named calendars that this version can read, by name.

    One that another version of Duly stored in a way unknown here is left out, and logged.
    """
    return _readable(conn.execute(select(calendar).order_by(calendar.c.name)).all())


def _readable(rows: Sequence[Row[Any]]) -> dict[str, Calendar]:
    found = {}
    for row in rows:
        try:
            found[row.name] = triggers.decode_calendar(row.definition)
        except (TriggerError, PayloadError) as error:
            log.warning("Calendar %r cannot be read by this version: %s", row.name, error)
    return found


def needed_by(tx: Transaction, trigger: str) -> dict[str, Calendar] | None:
    """Return the calendars that a trigger may name; ``None``: it names none.

    They are locked until the job that follows them is committed: a change of a calendar waits for
    that, and then finds the job.
    """
    if _MARK not in trigger:
        return None
    statement = select(calendar).order_by(calendar.c.name)
    rows = tx.conn.execute(tx.dialect.lock_rows(statement, share=True)).all()
    return _readable(rows)


def lock(tx: Transaction, name: str) -> bool:
    """Lock a calendar, so that no further job comes to follow it; return whether it exists."""
    statement = select(calendar.c.name).where(calendar.c.name == name)
    return tx.conn.execute(tx.dialect.lock_rows(statement)).one_or_none() is not None


def put(tx: Transaction, name: str, value: Calendar) -> None:
    """Store a calendar under a name, in place of an earlier one."""
    row = {"name": name, "definition": triggers.encode_calendar(value), "updated_at": tx.now}
    tx.dialect.upsert(tx.conn, calendar, row, ["name"])


def remove(tx: Transaction, name: str) -> None:
    """Delete a calendar."""
    tx.conn.execute(delete(calendar).where(calendar.c.name == name))


def users(tx: Transaction, name: str) -> Sequence[JobRow]:
    """Lock and return the jobs whose triggers name a calendar."""
    statement = select(job).where(_names(name)).order_by(job.c.id)
    return job_rows(tx.conn.execute(tx.dialect.lock_rows(statement)))


def user_ids(conn: Connection, name: str) -> list[str]:
    """Return the ids of the jobs whose triggers name a calendar."""
    return list(conn.execute(select(job.c.id).where(_names(name))).scalars())


def _names(name: str) -> ColumnElement[bool]:
    text = _MARK + json.dumps(name, ensure_ascii=False)
    return job.c.trigger.contains(text, autoescape=True)
