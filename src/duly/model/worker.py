"""A worker: one process taking part, and how it shows that it is alive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from duly.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The rhythm of liveness; all in seconds.

    Attributes:
        interval: between two beats.
        lease: how long a worker counts as alive after its last beat.
        fence: without a good beat for so long, a worker stops itself; shorter than the lease.
        rescue: between two searches for runs of dead workers.

    Raises:
        ConfigurationError: not interval < fence < lease.
    """

    interval: float = 10
    lease: float = 60
    fence: float = 50
    rescue: float = 15

    def __post_init__(self) -> None:
        if not 0 < self.interval < self.fence < self.lease or self.rescue <= 0:
            raise ConfigurationError(
                f"{self}: it must be 0 < interval < fence < lease, and rescue more than 0"
            )

    @classmethod
    def of(cls, value: Heartbeat | str) -> Heartbeat:
        """A profile by name (``normal``, ``fast``) or a value of one's own.

        Raises:
            ConfigurationError: an unknown name.
        """
        if isinstance(value, Heartbeat):
            return value
        if value not in PROFILES:
            raise ConfigurationError(
                f"heartbeat={value!r}; give 'normal', 'fast' or a Heartbeat(…)"
            )
        return PROFILES[value]


PROFILES = {"normal": Heartbeat(), "fast": Heartbeat(1, 5, 4, 2)}


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A stored worker.

    Attributes:
        app: the scheduler's name.
        version: of Duly.
        app_version: of the application, as ``Scheduler(version=…)`` said; ``None``: it said none.
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
