"""Operations on named calendars, such as holidays: stored once and used by many jobs."""

from __future__ import annotations

from duly.errors import CalendarInUse, CalendarNotFound, ConfigurationError
from duly.model.actor import Actor
from duly.model.job import check_id
from duly.operations.core import Core
from duly.operations.jobs.change import rebind
from duly.operations.jobs.cursors import catch_up
from duly.store import calendars as calendar_rows
from duly.store.host.session_types import HostSession
from duly.store.transaction import Transaction
from duly.triggers import Calendar


def calendars(core: Core) -> dict[str, Calendar]:
    """Return all stored calendars by name."""
    with core.store.read() as conn:
        return calendar_rows.known(conn)


def set_calendar(
    core: Core,
    name: str,
    calendar: Calendar,
    *,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> list[str]:
    """Store a calendar under a name; triggers use it by ``trigger.excluding("the name")``.

    The jobs that use it change at once: what fell due under the old calendar is decided first, then
    the next fire is recomputed.

    Args:
        name: 1 to 191 printable characters.
        calendar: for example ``holidays("ES")``, ``weekends()`` or ``dates(...)``.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        The ids of the jobs that use it.

    Raises:
        ConfigurationError: ``name`` is not valid, or ``calendar`` is not a calendar.
    """
    if not isinstance(calendar, Calendar):
        raise ConfigurationError(
            f"{calendar!r} is not a calendar; give for example holidays('ES') or weekends()"
        )
    checked = check_id(name)

    def store(tx: Transaction) -> list[str]:
        calendar_rows.put(tx, checked, calendar)
        tx.record("calendar.changed", calendar=checked)
        users = calendar_rows.users(tx, checked)
        for row in users:
            rebind(tx, row)
        return [row.id for row in users]

    if session is None:
        with core.store.read() as conn:
            users = calendar_rows.user_ids(conn, checked)
        catch_up(core, users)
    return core.transact(store, session=session, actor=actor)


def remove_calendar(
    core: Core, name: str, *, session: HostSession | None = None, actor: str | Actor | None = None
) -> None:
    """Remove a calendar that no job uses.

    Args:
        name: the calendar's name.
        session: see `add`.
        actor: who acts, for the audit trail.

    Raises:
        CalendarNotFound: the calendar does not exist.
        CalendarInUse: jobs use it.
    """

    def store(tx: Transaction) -> None:
        if not calendar_rows.lock(tx, name):
            raise CalendarNotFound(name)
        users = [row.id for row in calendar_rows.users(tx, name)]
        if users:
            raise CalendarInUse(name, users)
        calendar_rows.remove(tx, name)
        tx.record("calendar.removed", calendar=name)

    core.transact(store, session=session, actor=actor)
