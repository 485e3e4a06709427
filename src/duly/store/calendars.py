"""Named calendars, each stored once and used by many jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from duly import triggers
from duly.store.rows import JobRow, job_rows
from duly.store.tables import calendar, job
from duly.store.transaction import Transaction
from duly.triggers import Calendar

_MARK = '"kind":"named","name":'


def known(conn: Connection) -> dict[str, Calendar]:
    """Return all named calendars, by name."""
    rows = conn.execute(select(calendar).order_by(calendar.c.name))
    return {row.name: triggers.decode_calendar(row.definition) for row in rows}


def needed_by(tx: Transaction, trigger: str) -> dict[str, Calendar] | None:
    """Return the calendars that a trigger may name; ``None``: it names none.

    They are locked until the job that follows them is committed: a change of a calendar waits for
    that, and then finds the job.
    """
    if _MARK not in trigger:
        return None
    statement = select(calendar).order_by(calendar.c.name)
    rows = tx.conn.execute(tx.dialect.lock_rows(statement, share=True)).all()
    return {row.name: triggers.decode_calendar(row.definition) for row in rows}


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
    text = _MARK + json.dumps(name, ensure_ascii=False)
    statement = select(job).where(job.c.trigger.contains(text, autoescape=True)).order_by(job.c.id)
    return job_rows(tx.conn.execute(tx.dialect.lock_rows(statement)))
