"""Events: queries of the audit trail, and listeners in this process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from duly.hooks import Listener
from duly.model.checks import instant
from duly.model.event import Event, check_kind
from duly.model.event_position import MAX_MISSING, EventPosition
from duly.model.record import Record, record
from duly.operations.core import Core
from duly.operations.inputs import owner_names, page_size, row_number, searchable
from duly.store import history, runs, totals
from duly.store.history import EventFilter
from duly.store.rows import event_record


def events(
    core: Core,
    *,
    after: int = 0,
    before: int | None = None,
    kind: str | None = None,
    job: str | None = None,
    run: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    owners: Sequence[str] | None = None,
    newest: bool = False,
    limit: int = 100,
) -> list[Event]:
    """Return the events of the audit trail that match every given filter, oldest first.

    Args:
        after: only events with a higher id.
        before: only events with a lower id.
        kind: the kind of event.
        job: the id of the job that they concern.
        run: the id of the run that they concern.
        actor: the name of who caused them.
        since: only events at this aware instant or later.
        until: only events before this aware instant.
        owners: only events of these owners: of the jobs that they have now, since those were
            created, and of their runs. Events of queues, workers and the scheduler have no owner.
        newest: whether to return the newest first instead.
        limit: 1 to 1000.

    Raises:
        UnknownOption: the kind does not exist.
        ConfigurationError: ``limit`` is out of range, or ``owners`` is not a list of names.
        NaiveDatetimeError: ``since`` or ``until`` has no time zone.
    """
    wanted = EventFilter(
        row_number(after),
        None if before is None else row_number(before),
        kind and check_kind(kind),
        job,
        newest,
        page_size(limit),
        None if owners is None else owner_names(owners),
        searchable(run),
        searchable(actor),
        None if since is None else instant("since", since),
        None if until is None else instant("until", until),
    )
    with core.store.read() as conn:
        return [event_record(row) for row in history.events(conn, wanted)]


class OwnedEvent(NamedTuple):
    """An event, and the owners of the job and the run that it concerns."""

    event: Event
    owners: frozenset[str]


def event_position(core: Core, position: str | None = None) -> EventPosition:
    """Return a position in the audit trail, from which `events_beyond` continues.

    Args:
        position: a position as text, or the id of an event; default: the end.

    Raises:
        ConfigurationError: ``position`` is not valid.
    """
    now = core.store.time.now()
    if position is not None:
        return EventPosition.read(position, now)
    with core.store.read() as conn:
        newest = history.newest_event_ids(conn, MAX_MISSING)
    if not newest:
        return EventPosition(0, (), now)
    return EventPosition(newest[0], set(range(newest[-1], newest[0])) - set(newest), now)


def events_beyond(core: Core, position: EventPosition, *, limit: int = 500) -> list[OwnedEvent]:
    """Return the events that have appeared since a position, and move it behind them.

    Events that were committed later than others with greater ids are not left out. Returned are
    those with missing ids, and then those with greater ids, each in order.

    Args:
        position: see `event_position`; it is changed.
        limit: the maximum number of events with greater ids, 1 to 1000; call again for the rest.

    Raises:
        ConfigurationError: ``limit`` is out of range.
    """
    size, now = page_size(limit), core.store.time.now()
    with core.store.read() as conn:
        rows = history.events_beyond(conn, position.last, position.missing, size)
    return [_owned(row) for row in rows if position.accept(row.id, now)]


def activity(core: Core) -> Activity:
    """Return what changes whenever a run is created, starts or ends.

    Starts and successes of runs are not in the audit trail; this is a cheap way to see that there
    are some. The counts stop at 10,000.
    """
    with core.store.read() as conn:
        return Activity(runs.newest_id(conn), totals.live_by_state(conn))


@record
class Activity(Record):
    """A short description of the present runs, to be compared with an earlier one.

    Attributes:
        newest_run: the id of the newest run; ``None`` if there is none.
        runs: the number of unfinished runs, by state.
    """

    newest_run: str | None
    runs: dict[str, int]


def on(core: Core, kind: str, listener: Listener) -> None:
    """Call ``listener(event)`` for each event that this process records, after its commit.

    While the scheduler is started, listeners are called on a thread of their own, one event after
    the other, and `stop` waits up to 5 seconds for them. Up to 10,000 events may wait; more are
    dropped, which is logged. While it is not started, `tick` and the other calls call them
    themselves.

    Args:
        kind: the kind of event, for example ``"run.failed"``; ``"*"`` for every kind.
        listener: a function; an error that it raises is logged.

    Raises:
        UnknownOption: the kind does not exist.
    """
    core.listeners.add(kind, listener)


def _owned(row: Any) -> OwnedEvent:
    """Return the event of a row of `history.events_beyond`."""
    owners = frozenset(name for name in (row.job_owner, row.run_owner) if name is not None)
    return OwnedEvent(event_record(row), owners)
