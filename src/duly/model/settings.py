"""The settings of a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Literal, get_args

from duly.errors import ConfigurationError, TriggerError
from duly.hooks import RemoteExecutor
from duly.model.checks import SECONDS, label
from duly.model.job import MAX_ID
from duly.model.policy import JobOptions
from duly.model.release import Release
from duly.model.secrets import Resolve
from duly.model.worker import Heartbeat
from duly.triggers.wallclock.zones import zone_name

OpenResources = Callable[[], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]
"""Returns the context manager that is entered wherever runs are executed."""

MAX_SCHEMA = 63
"""The number of bytes to which PostgreSQL would cut a longer name."""

Orphans = Literal["report", "pause"]
"""What to do with jobs that code no longer declares."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that a scheduler was created with.

    Attributes:
        name: the application whose declarations are compared with each other.
        version: the version of these declarations, as `check_version` returns it.
        orphans: whether jobs that code no longer declares are only reported, or also paused.
        timezone: the IANA name of the zone for triggers that do not name one.
        defaults: options for jobs and tasks that do not set their own.
        queues: the number of runs of each queue that this process executes at once.
        heartbeat: the intervals of this process's heartbeat.
        required: whether `start` raises when the database is unreachable, instead of retrying.
        grace: seconds that running functions get to finish when the scheduler stops.
        pooler: whether the URL leads to a transaction pooler.
        listen_url: where to listen for notices; default: the URL, unless it leads to a pooler.
        fires: whether this process fires jobs, or only executes runs.
        resources: returns the context manager to enter while this process executes runs.
        schema: the PostgreSQL schema of Duly's tables; ``None``: the first of the search path.
        secrets: returns the value of a secret by its name; ``None``: the environment does.
        sole_worker: whether this is the only worker of a test's database. It has no heartbeat,
            rescues nothing, deletes nothing, and compares its declarations with no others.
        executors: hand runs to other systems, by name.
        lent: whether this process belongs to another system, which gives it runs. It claims none
            by itself.
    """

    name: str
    timezone: str
    defaults: JobOptions
    queues: Mapping[str, int]
    heartbeat: Heartbeat
    required: bool
    grace: float
    pooler: bool
    listen_url: str | None
    fires: bool = True
    sole_worker: bool = False
    version: str = ""
    orphans: Orphans = "report"
    resources: OpenResources | None = None
    schema: str | None = None
    secrets: Resolve | None = None
    executors: Mapping[str, RemoteExecutor] = field(default_factory=dict)
    lent: bool = False

    @property
    def own_queues(self) -> dict[str, int]:
        """The queues from which this process claims runs that it executes itself."""
        if self.lent:
            return {}
        if self.sole_worker:
            return dict(self.queues)
        others = {queue for executor in self.executors.values() for queue in executor.queues}
        return {queue: slots for queue, slots in self.queues.items() if queue not in others}

    @property
    def served_queues(self) -> dict[str, int]:
        """The queues of which no run waits because of this process: with those handed over."""
        if self.lent or self.sole_worker:
            return self.own_queues
        handed = {
            queue: executor.window
            for executor in self.executors.values()
            for queue in executor.queues
        }
        return self.own_queues | handed

    @property
    def release(self) -> Release:
        """The application and version that this process's declarations belong to."""
        return Release(self.name, self.version)

    def __post_init__(self) -> None:
        label(MAX_ID)("name", self.name)
        if self.orphans not in get_args(Orphans):
            raise ConfigurationError(
                f"orphans={self.orphans!r}; it must be one of {get_args(Orphans)}"
            )
        SECONDS("grace", self.grace)
        if self.schema is not None:
            label(MAX_SCHEMA)("schema", self.schema)
        if not isinstance(self.defaults, JobOptions):
            raise ConfigurationError(f"defaults={self.defaults!r}; give JobDefaults(…)")
        if self.defaults.at_start:
            raise ConfigurationError("at_start=True cannot be a default; set it for single jobs")
        opened = isinstance(self.resources, AbstractContextManager | AbstractAsyncContextManager)
        if opened or not (self.resources is None or callable(self.resources)):
            raise ConfigurationError(
                f"resources={self.resources!r} is not a function; give one that returns a context "
                "manager, such as a function decorated with @asynccontextmanager, without calling "
                "it"
            )
        if not (self.secrets is None or callable(self.secrets)):
            raise ConfigurationError(
                f"secrets={type(self.secrets).__name__} is not a function; give one that returns "
                "the value of a secret by its name"
            )
        check_zone(self.timezone)
        check_queues(self.queues)
        check_executors(self.executors)


def check_zone(zone: object) -> str:
    """Return the IANA name of a zone, given by that name or as a `tzinfo`.

    Raises:
        ConfigurationError: the zone is unknown, or has no IANA name.
    """
    try:
        if isinstance(zone, str | tzinfo) and (name := zone_name(zone)):
            return name
    except TriggerError:
        pass
    raise ConfigurationError(
        f"timezone={zone!r} is not an IANA time zone; give for example 'Europe/Madrid'"
    )


def check_queues(queues: Mapping[str, int]) -> dict[str, int]:
    """Return the slots of each queue.

    Raises:
        ConfigurationError: they are not names and numbers, or there is no queue.
    """
    if not isinstance(queues, Mapping):
        raise ConfigurationError(
            f"queues={queues!r} is not valid; give each queue's name and the number of its runs to "
            "execute at once, as in queues={'default': 10}"
        )
    for queue, slots in queues.items():
        if not _is_name(queue) or not _is_count(slots):
            raise ConfigurationError(
                f"queues={{{queue!r}: {slots!r}}}: give each queue's name and the number of its "
                "runs to execute at once (1 or more)"
            )
    if not queues:
        raise ConfigurationError("queues={} would execute nothing; give {'default': 10}")
    return dict(queues)


def check_executors(executors: Mapping[str, RemoteExecutor]) -> None:
    """Check the executors of ``Scheduler(executors=…)``.

    Raises:
        ConfigurationError: they are not names and executors, or two of them share a queue.
    """
    given: object = executors
    if not isinstance(given, Mapping) or not all(
        _is_name(name) and hasattr(executor, "send") for name, executor in given.items()
    ):
        raise ConfigurationError(
            f"executors={executors!r} is not valid; give each executor a name, as in "
            "executors={'celery': CeleryExecutor(app)}. For threads, write queues={'default': 10}"
        )
    for name in executors:
        if name in ("auto", "process"):
            raise ConfigurationError(
                f"executors={{{name!r}: …}}: Duly has an executor of that name"
            )
    queues = [queue for executor in executors.values() for queue in executor.queues]
    for queue in queues:
        if not _is_name(queue) or queues.count(queue) > 1:
            raise ConfigurationError(
                f"executors=…: the queue {queue!r} is not valid, or belongs to two executors"
            )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64 and value.isprintable()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
