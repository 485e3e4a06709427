"""Workers: the processes that fire or execute, and the heartbeat that shows they are alive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from duly.errors import ConfigurationError, PayloadError
from duly.misuse import explains_arguments
from duly.model import payload
from duly.model.checks import TIME, check_fields
from duly.model.record import Record, SafeText, record

MAX_REPORTS_BYTES = 32 * 1024
"""The size of the reports about process jobs that a worker stores with its heartbeat."""


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
class ProcessJobRecord(Record):
    """What one worker reports about a job that each process executes for itself.

    Attributes:
        id: the job's id.
        task: the name of its task.
        trigger: its trigger, in English.
        next_at: the next nominal time in this process; ``None``: there is none.
        running_since: when the current run started, if one is executing.
        last_at: when the last run that has ended started; ``None``: none has ended yet.
        last_outcome: ``succeeded`` or ``failed``: how that run ended.
        last_seconds: how long it took.
        error: the type and the message of its error, if it failed.
        runs: the number of runs that have ended in this process.
        failures: the number of runs in a row that have failed, up to the last one.
        skipped: the number of nominal times that were too late, or found an earlier run unfinished.
    """

    id: str
    task: str
    trigger: str
    next_at: datetime | None = None
    running_since: datetime | None = None
    last_at: datetime | None = None
    last_outcome: Literal["succeeded", "failed"] | None = None
    last_seconds: float | None = None
    error: SafeText | None = None
    runs: int = 0
    failures: int = 0
    skipped: int = 0


_INSTANTS = ("next_at", "running_since", "last_at")


def encode_reports(records: Iterable[ProcessJobRecord]) -> str:
    """Return reports about process jobs as JSON text of at most `MAX_REPORTS_BYTES`.

    If there are too many, those of failing jobs are kept first, and then those declared first.
    """
    texts, size = [], 2
    for each in sorted(records, key=lambda each: each.last_outcome != "failed"):
        values = {name: getattr(each, name) for name in ProcessJobRecord.layout.names}
        moments = {name: values[name].isoformat() for name in _INSTANTS if values[name]}
        text = payload.encode({**values, **dict.fromkeys(_INSTANTS), **moments})
        size += len(text) + 1
        if size > MAX_REPORTS_BYTES:
            break
        texts.append(text)
    return f"[{','.join(texts)}]"


def decode_reports(text: str | None) -> list[ProcessJobRecord]:
    """Return the reports that `encode_reports` has encoded, in the order of their ids.

    What another version of Duly has written, and this one cannot read, is left out.
    """
    try:
        return sorted(map(_report, payload.decode(text or "[]")), key=lambda each: each.id)
    except (PayloadError, TypeError, ValueError, AttributeError):
        return []


def _report(values: dict[str, Any]) -> ProcessJobRecord:
    known = {name: values[name] for name in ProcessJobRecord.layout.names if name in values}
    moments = {name: datetime.fromisoformat(known[name]) for name in _INSTANTS if known.get(name)}
    return ProcessJobRecord(**{**known, **moments})


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
        draining: whether it takes no more runs: it is shutting down, or was asked to drain, which
            its next heartbeat obeys.
        app_version: the application's version, as given by ``Scheduler(version=…)``, if any.
        fires: whether it fires jobs; ``duly worker`` only executes runs.
        process_jobs: what it reports about the jobs with ``scope="process"``, as of its last
            heartbeat; the worker of the process that asks, as of now.
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
    process_jobs: list[ProcessJobRecord] = field(default_factory=list)
