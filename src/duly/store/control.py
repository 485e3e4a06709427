"""Switches that all workers obey: the scheduler's and each queue's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from duly.model import payload
from duly.model.record import Record, SafeText, record
from duly.store import tables
from duly.store.transaction import Transaction

STOPPED = "stopped"
ZONE_DATA = "tzdb"


@record
class Stopped(Record):
    """Who stopped the scheduler for all workers, when and why.

    Attributes:
        by: the actor, if one was given.
        at: when.
        reason: the reason that was given.
    """

    by: str | None
    at: datetime
    reason: SafeText


def stopped(conn: Connection) -> Stopped | None:
    """Return who stopped the scheduler for all workers; ``None``: it is not stopped."""
    statement = select(tables.control.c.value).where(tables.control.c.name == STOPPED)
    text = conn.execute(statement).scalar()
    if text is None:
        return None
    data = payload.decode(text)
    return Stopped(data["by"], datetime.fromisoformat(data["at"]), data["reason"])


def stop(tx: Transaction, reason: str) -> None:
    """Stop the scheduler for all workers."""
    data = {"by": tx.actor, "at": tx.now.isoformat(), "reason": reason}
    row = {"name": STOPPED, "value": payload.encode(data)}
    tx.dialect.upsert(tx.conn, tables.control, row, ["name"])


def start(tx: Transaction) -> None:
    """Start the scheduler again for all workers."""
    tx.conn.execute(delete(tables.control).where(tables.control.c.name == STOPPED))


def queues(conn: Connection) -> dict[str, Any]:
    """Return the rows of queues that are paused or have limits, by name."""
    return {row.name: row for row in conn.execute(select(tables.queue))}


def pause_queue(tx: Transaction, name: str, reason: str | None) -> None:
    """Pause a queue: its ready runs are not claimed."""
    row = {
        "name": name, "paused_by": tx.actor, "paused_reason": reason, "paused_at": tx.now,
    }  # fmt: skip
    tx.dialect.upsert(tx.conn, tables.queue, row, ["name"])


def resume_queue(tx: Transaction, name: str) -> None:
    """Resume a queue; its limits stay unchanged."""
    statement = update(tables.queue).where(tables.queue.c.name == name)
    tx.conn.execute(statement.values(paused_by=None, paused_reason=None, paused_at=None))
    remove_unrestricted(tx, name)


def remove_unrestricted(tx: Transaction, name: str) -> None:
    """Delete the row of a queue that is neither paused nor limited."""
    columns = tables.queue.c
    restrictions = (columns.paused_at, columns.max_running, columns.rate)
    unrestricted = (column.is_(None) for column in restrictions)
    tx.conn.execute(delete(tables.queue).where(columns.name == name, *unrestricted))


def zone_data(conn: Connection) -> str | None:
    """Return the newest version of the time zone data with which all next times were computed."""
    statement = select(tables.control.c.value).where(tables.control.c.name == ZONE_DATA)
    version: str | None = conn.execute(statement).scalar()
    return version


def set_zone_data(tx: Transaction, version: str) -> None:
    """Record that all next times were computed with this version of the time zone data."""
    row = {"name": ZONE_DATA, "value": version}
    tx.dialect.upsert(tx.conn, tables.control, row, ["name"])
