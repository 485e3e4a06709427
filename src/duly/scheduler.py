"""The scheduler: what a host application holds. It wires its parts and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from duly.aio import Aio
from duly.clock import Clock, SystemClock
from duly.errors import ConfigurationError
from duly.model.policy import JobOptions
from duly.model.release import check_version
from duly.model.settings import Settings
from duly.model.worker import Heartbeat
from duly.operations.asking import Asking
from duly.operations.backfilling import Backfilling
from duly.operations.declare import Declaring
from duly.operations.doctor import Examining
from duly.operations.enqueue_many import Bulk
from duly.operations.lifecycle import Living
from duly.operations.limiting import Limiting
from duly.operations.named_calendars import Calendars
from duly.operations.steering import Steering
from duly.store.url import Later


class Scheduler(
    Declaring, Bulk, Calendars, Steering, Backfilling, Limiting, Asking, Examining, Living
):
    """A durable job scheduler on one database.

    Args:
        url: an SQLAlchemy database URL: ``sqlite:///app.db`` or ``postgresql+psycopg://…``; URLs
            of asyncio drivers are taken too. Left out, it is said later, by `use_database` or as
            ``app.config["DULY_URL"]`` in Flask; until then jobs can only be declared.
        name: whose declarations in code are compared with each other.
        version: of the application, rising with every deploy: 43, ``1.4.2``, ``2026.11.21``. An
            older process never changes a job that a newer one has declared; without a version it
            counts as older than any. Default: none, and the last declaration wins.
        orphans: what becomes of jobs that code declares no more: ``report`` or ``pause`` them.
        timezone: IANA name; the zone of wall-clock triggers that name none.
        heartbeat: ``normal`` (beat 10 s, lease 60 s), ``fast`` (1 s, 5 s) or a `Heartbeat`.
        defaults: options of jobs and tasks that say nothing themselves.
        queues: how many runs of each queue this process executes at once.
        clock: where time comes from; tests give a `VirtualClock`.
        grace: seconds that running functions get to finish at a stop.
        start: ``retry``: a database that is away does not stop the host; ``required``: it does.
        pooler: whether the URL leads to a transaction pooler (PgBouncer): then nothing is kept in
            a database session, and other processes' work is found by looking, every second.
        listen_url: a direct URL for LISTEN beside such a pooler.

    Attributes:
        aio: every call as an awaitable: ``await scheduler.aio.enqueue(...)``.
        registry: the registered tasks.

    Raises:
        DatabaseURLError: the URL cannot be used.
        ConfigurationError: another setting is wrong.
    """

    def __init__(
        self,
        url: str | Literal[Later.LATER] = Later.LATER,
        *,
        name: str = "default",
        version: str | int | None = None,
        orphans: Literal["report", "pause"] = "report",
        timezone: str = "UTC",
        heartbeat: Literal["normal", "fast"] | Heartbeat = "normal",
        defaults: JobOptions | None = None,
        queues: Mapping[str, int] | None = None,
        clock: Clock | None = None,
        grace: float = 20,
        start: Literal["retry", "required"] = "retry",
        pooler: bool = False,
        listen_url: str | None = None,
    ) -> None:
        if start not in ("retry", "required"):
            raise ConfigurationError(f"start={start!r}; it must be 'retry' or 'required'")
        settings = Settings(
            name=name,
            version=check_version(version),
            orphans=orphans,
            timezone=timezone,
            defaults=defaults or JobOptions(),
            queues={"default": 10} if queues is None else dict(queues),
            heartbeat=Heartbeat.of(heartbeat),
            required=start == "required",
            grace=grace,
            pooler=pooler,
            listen_url=listen_url,
        )
        super().__init__(url, settings, clock or SystemClock())
        self.aio = Aio(self)

    def __repr__(self) -> str:
        return f"<Scheduler {self.settings.name!r} on {self.store}>"
