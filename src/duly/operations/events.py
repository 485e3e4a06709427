"""Events: queries of the audit trail, and listeners in this process."""

from __future__ import annotations

from collections.abc import Sequence

from duly.hooks import Listener
from duly.model.event import Event, check_kind
from duly.operations.core import Core
from duly.operations.inputs import owner_names, page_size, row_number
from duly.store import history
from duly.store.history import EventFilter
from duly.store.rows import event_record


def events(
    core: Core,
    *,
    after: int = 0,
    before: int | None = None,
    kind: str | None = None,
    job: str | None = None,
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
        owners: only events of these owners: of the jobs that they have now, since those were
            created, and of their runs. Events of queues, workers and the scheduler have no owner.
        newest: whether to return the newest first instead.
        limit: 1 to 1000.

    Raises:
        UnknownOption: the kind does not exist.
        ConfigurationError: ``limit`` is out of range, or ``owners`` is not a list of names.
    """
    wanted = EventFilter(
        row_number(after),
        None if before is None else row_number(before),
        kind and check_kind(kind),
        job,
        newest,
        page_size(limit),
        None if owners is None else owner_names(owners),
    )
    with core.store.read() as conn:
        return [event_record(row) for row in history.events(conn, wanted)]


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
