"""Workers: the processes that fire or execute, and the heartbeat that shows they are alive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from duly.errors import ConfigurationError
from duly.misuse import explains_arguments
from duly.model.checks import TIME, check_fields
from duly.model.record import Record, record


@explains_arguments
@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The timing of heartbeats; all values are in seconds.

    Attributes:
        interval: the time between two heartbeats.
        lease: how long a worker counts as alive after its last heartbeat.
        fence: how long a worker continues without a successful heartbeat before it stops its own
            runs; shorter than the lease, so that it stops before others take over.
        rescue: the time between two searches for runs of dead workers.

    Raises:
        ConfigurationError: not 0 < interval < fence < lease, or ``rescue`` is not positive.
    """

    interval: float = 10
    lease: float = 60
    fence: float = 50
    rescue: float = 15

    def __post_init__(self) -> None:
        fields = ("interval", "lease", "fence", "rescue")
        check_fields(self, dict.fromkeys(fields, TIME), "Heartbeat({}=…)")
        if not 0 < self.interval < self.fence < self.lease or self.rescue <= 0:
            raise ConfigurationError(
                f"{self} is not valid; it must be 0 < interval < fence < lease and 0 < rescue"
            )

    @classmethod
    def of(cls, value: Heartbeat | str) -> Heartbeat:
        """Return a profile by its name (``normal`` or ``fast``); return a `Heartbeat` as it is.

        Raises:
            ConfigurationError: there is no such profile.
        """
        if isinstance(value, Heartbeat):
            return value
        if value not in PROFILES:
            raise ConfigurationError(
                f"heartbeat={value!r} is not valid; give 'normal', 'fast' or a Heartbeat(…)"
            )
        return PROFILES[value]


PROFILES = {"normal": Heartbeat(), "fast": Heartbeat(1, 5, 4, 2)}


@record
class WorkerRecord(Record):
    """A stored worker as queries return it.

    Attributes:
        id: a random id, new for every process.
        app: the scheduler's name.
        host: the name of its machine.
        pid: the number of its process.
        version: the version of Duly.
        tzdb: the version of its time zone data.
        queues: the number of runs that it executes at once, by queue.
        started_at: when it registered.
        beat_at: the time of its last heartbeat.
        lease_until: the time until which it counts as alive without another heartbeat.
        draining: whether it is shutting down and takes no more runs.
        app_version: the application's version, as given by ``Scheduler(version=…)``, if any.
        fires: whether it fires jobs; ``duly worker`` only executes runs.
    """

    id: str
    app: str
    host: str
    pid: int
    version: str
    tzdb: str
    queues: dict[str, int]
    started_at: datetime
    beat_at: datetime
    lease_until: datetime
    draining: bool = False
    app_version: str | None = None
    fires: bool = True
