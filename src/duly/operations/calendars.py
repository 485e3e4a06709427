"""Storing named calendars, and telling the jobs that use them."""

from __future__ import annotations

from duly.errors import CalendarInUse, CalendarNotFound
from duly.model.job import check_id
from duly.operations.jobs.definition import rebind
from duly.store import calendars
from duly.store.transaction import Transaction
from duly.triggers import Calendar


def put(tx: Transaction, name: str, value: Calendar) -> list[str]:
    """Store a calendar; the jobs that name it follow it from now on. Returns their ids.

    Raises:
        ConfigurationError: a name that cannot be stored.
    """
    calendars.put(tx, check_id(name), value)
    tx.record("calendar.changed", calendar=name)
    users = calendars.users(tx, name)
    for row in users:
        rebind(tx, row)
    return [row.id for row in users]


def remove(tx: Transaction, name: str) -> None:
    """Delete a calendar that no job names.

    Raises:
        CalendarNotFound: no such calendar.
        CalendarInUse: jobs name it.
    """
    users = [row.id for row in calendars.users(tx, name)]
    if users:
        raise CalendarInUse(name, users)
    if not calendars.remove(tx, name):
        raise CalendarNotFound(name)
    tx.record("calendar.removed", calendar=name)
