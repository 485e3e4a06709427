"""How a job fires and how its runs are executed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, Literal, Self, TypedDict

from duly.errors import ConfigurationError, UnknownOption
from duly.model import payload
from duly.model.checks import (
    SECONDS,
    TIME,
    Check,
    check_fields,
    choice,
    instant,
    label,
    number,
    optional,
    web_address,
    whole,
)
from duly.model.watch import Watch

Overlap = Literal["skip", "queue", "allow", "cancel_running"]
OnCrash = Literal["retry", "fail"]
Seconds = float | timedelta
CatchUpMode = Literal["latest", "all", "none"]

QUARANTINE_AFTER = 2
"""The number of crashes after which a run executes alone, since a crash blames all that ran."""

CRASH_LIMIT = 3
"""The number of crashes that make a run fail, if it executed alone in the last of them."""

KEEP_DAYS = {"succeeded": 30, "failed": 90}
KEEP_DAYS_OTHERWISE = 30


_CATCH_UP: Mapping[str, Check] = {
    "mode": choice("latest", "all", "none"),
    "limit": whole(1, 10_000),
    "max_age": optional(TIME),
}


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What becomes of nominal times that passed while no worker could fire them.

    Attributes:
        mode: ``latest`` runs the newest and records the others as missed; ``all`` runs each, oldest
            first; ``none`` runs only what is still on time.
        limit: the largest number of runs with ``all``; older times are recorded as missed.
        max_age: seconds; what is older is recorded as missed. ``None``: any age.

    Raises:
        ConfigurationError: an unknown mode or a number out of range.
    """

    mode: CatchUpMode = "latest"
    limit: int = 100
    max_age: float | None = None

    def __post_init__(self) -> None:
        check_fields(self, _CATCH_UP, "CatchUp({}=…)")


_RETRY: Mapping[str, Check] = {
    "attempts": whole(1, 1000),
    "wait": SECONDS,
    "factor": number(1, 1e9, "1 or more, at most 1e9"),
    "max_wait": SECONDS,
    "jitter": number(0, 1, "0 to 1"),
}


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a failed run is tried again.

    Attributes:
        attempts: tries in all, the first included.
        wait: seconds before the second attempt.
        factor: what each further wait is multiplied by.
        max_wait: the longest wait, in seconds.
        jitter: share of the wait (0 to 1) by which it may be longer or shorter, so that many runs
            failing together do not come back together.

    Raises:
        ConfigurationError: a number out of range.
    """

    attempts: int = 3
    wait: float = 30
    factor: float = 2
    max_wait: float = 900
    jitter: float = 0.2

    def __post_init__(self) -> None:
        check_fields(self, _RETRY, "Retry({}=…)")

    def delay(self, failed: int, key: str) -> timedelta:
        """The wait after ``failed`` failed attempts; the same for the same ``key`` (the run)."""
        try:
            wait = min(self.wait * self.factor ** (failed - 1), self.max_wait)
        except OverflowError:
            wait = min(self.wait, 1) * self.max_wait
        spread = 2 * unit_hash(f"{key}/{failed}") - 1
        return timedelta(seconds=wait * (1 + self.jitter * spread))


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """What a run carries with it from the moment it is made: how to execute it.

    Attributes:
        retry: ``None`` means one attempt.
        timeout: seconds an attempt may take; ``None``: no limit.
        on_crash: whether a run whose worker died is started again.
        keep: days the finished run stays in history; ``None``: 30, failed ones 90.
        ping: an address that is called after a success.
    """

    retry: Retry | None = None
    timeout: float | None = None
    on_crash: OnCrash = "retry"
    keep: float | None = None
    ping: str | None = None

    @property
    def max_attempts(self) -> int:
        """Attempts in all."""
        return self.retry.attempts if self.retry else 1

    def keep_until(self, state: str, finished: datetime) -> datetime:
        """When the history of a run that ended in ``state`` may be deleted."""
        days = self.keep if self.keep is not None else KEEP_DAYS.get(state, KEEP_DAYS_OTHERWISE)
        return finished + timedelta(days=days)


def _group(group: type[Any], short: str) -> Check:
    """One of the values above; a mapping of its options, or its most important option alone."""

    def check(name: str, value: Any) -> Any:
        if isinstance(value, group):
            return value
        values = value if isinstance(value, Mapping) else {short: value}
        known = [field.name for field in fields(group)]
        for option in values:
            if option not in known:
                raise UnknownOption(str(option), known, f"in {name}=")
        try:
            return group(**values)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}={value!r}: {error}") from None

    return check


_OPTIONS: Mapping[str, Check] = {
    "queue": label(64),
    "priority": whole(-32768, 32767),
    "retry": optional(_group(Retry, "attempts")),
    "timeout": optional(TIME),
    "on_crash": choice("retry", "fail"),
    "expires": optional(TIME),
    "keep": optional(number(0, 36_500, "more than 0 days, at most 36500", above=True)),
    "misfire_grace": optional(SECONDS),
    "catch_up": _group(CatchUp, "mode"),
    "overlap": choice("skip", "queue", "allow", "cancel_running"),
    "max_running": whole(1, 1000),
    "jitter": SECONDS,
    "start": optional(instant),
    "end": optional(instant),
    "max_fires": optional(whole(1, 2**63 - 1)),
    "concurrency_key": optional(label(191)),
    "watch": optional(_group(Watch, "expected_every")),
    "ping": optional(web_address),
}


ON_TIME = timedelta(seconds=30)
"""How late a fire may be with ``catch_up="none"`` and without a misfire_grace."""


@dataclass(frozen=True)
class JobOptions:
    """The options of a job, all optional; a task takes those marked (t).

    Attributes:
        queue: (t) the lane its runs wait in.
        priority: (t) smaller runs first.
        retry: (t) see `Retry`; an int means that many attempts.
        timeout: (t) seconds an attempt may take.
        on_crash: (t) ``retry`` or ``fail`` when the worker died.
        expires: (t) seconds a run may wait before its first start; then it is ``missed``.
        keep: (t) days of history.
        misfire_grace: seconds a fire may be late, nominal time to firing; ``None``: any.
        catch_up: see `CatchUp`; its mode's name is enough.
        overlap: when another run has not finished: ``skip`` this time, ``queue`` one, ``allow`` it,
            or ``cancel_running``.
        max_running: the number of unfinished runs from which ``overlap`` applies.
        jitter: seconds over which starts are spread; the nominal time does not move.
        start: no nominal time before this instant.
        end: no nominal time after this instant.
        max_fires: the number of fires after which the job is finished.
        concurrency_key: (t) of all runs with the same key, whatever their job, task, queue or
            worker, one runs at a time, or as many as ``scheduler.set_limit`` says.
        watch: see `Watch`; a number stands for ``expected_every`` in seconds.
        ping: (t) an address that is called after each success, so that another service notices when
            everything here is dead.

    Raises:
        ConfigurationError: a value out of range.
    """

    queue: str = "default"
    priority: int = 0
    retry: Retry | None = None
    timeout: float | None = None
    on_crash: OnCrash = "retry"
    expires: float | None = None
    keep: float | None = None
    misfire_grace: float | None = None
    catch_up: CatchUp = CatchUp()
    overlap: Overlap = "skip"
    max_running: int = 1
    jitter: float = 0
    start: datetime | None = None
    end: datetime | None = None
    max_fires: int | None = None
    concurrency_key: str | None = None
    watch: Watch | None = None
    ping: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, _OPTIONS, "{}")

    @cached_property
    def run_policy(self) -> RunPolicy:
        """The part that each run carries."""
        return RunPolicy(self.retry, self.timeout, self.on_crash, self.keep, self.ping)

    @cached_property
    def run_policy_text(self) -> str | None:
        """The policy that each run carries, as it is stored."""
        return encode_policy(self.run_policy)

    @cached_property
    def allowed_lateness(self) -> tuple[timedelta | None, str]:
        """How late a fire may be, and the option that limits it; ``None``: no limit."""
        bounds = []
        if self.misfire_grace is not None:
            grace = self.misfire_grace
            bounds.append((timedelta(seconds=grace), f"misfire_grace is {grace:g} s"))
        elif self.catch_up.mode == "none":
            bounds.append((ON_TIME, "catch_up=none"))
        if self.catch_up.max_age is not None:
            age = self.catch_up.max_age
            bounds.append((timedelta(seconds=age), f"catch_up.max_age is {age:g} s"))
        return min(bounds) if bounds else (None, "")

    def with_overrides(self, overrides: Mapping[str, Any], where: str) -> Self:
        """A copy with some options set by name.

        Args:
            overrides: option names and values, as a user writes them.
            where: how to name the place in an error, for example ``"for job 'x'"``.

        Raises:
            UnknownOption: a name is not an option.
            ConfigurationError: a value of the wrong kind or out of range.
        """
        if not overrides:
            return self
        for name in overrides:
            if name not in _OPTIONS:
                raise UnknownOption(name, _OPTIONS, where)
        try:
            return replace(self, **overrides)
        except UnknownOption as error:
            raise UnknownOption(error.name, error.known, f"{error.where} {where}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} ({where})") from error


class TaskOptionFields(TypedDict, total=False):
    """The options that a task may set, as a user writes them; see `JobOptions`."""

    queue: str
    priority: int
    retry: Retry | int | Mapping[str, float] | None
    timeout: Seconds | None
    on_crash: OnCrash
    expires: Seconds | None
    keep: float | None
    concurrency_key: str | None
    ping: str | None


class JobOptionFields(TaskOptionFields, total=False):
    """All options of a job, as a user writes them; see `JobOptions`."""

    misfire_grace: Seconds | None
    catch_up: CatchUp | CatchUpMode | Mapping[str, Any]
    overlap: Overlap
    max_running: int
    jitter: Seconds
    start: datetime | None
    end: datetime | None
    max_fires: int | None
    watch: Watch | Seconds | Mapping[str, Any] | None


TASK_OPTIONS = frozenset(TaskOptionFields.__annotations__)
JobDefaults = JobOptions
"""Options for jobs and tasks that do not set their own: ``Scheduler(defaults=JobDefaults(…))``."""


def encode_policy(value: JobOptions | RunPolicy) -> str | None:
    """Return the values that differ from the defaults as JSON text; ``None`` if none does."""
    changed = {}
    for field in fields(value):
        current = getattr(value, field.name)
        if field.default is not MISSING and current != field.default:
            changed[field.name] = _plain(current)
    return payload.encode(changed) if changed else None


@lru_cache(maxsize=1024)
def decode_options(text: str | None) -> JobOptions:
    """The options of a stored job.

    Raises:
        ConfigurationError: an option that this version does not know.
    """
    stored = payload.decode(text) if text else {}
    if not isinstance(stored, dict):
        raise ConfigurationError(f"options must be names and values, not {text!r}")
    return JobOptions().with_overrides(stored, "in a stored job")


@lru_cache(maxsize=1024)
def decode_run_policy(text: str | None) -> RunPolicy:
    """The policy of a stored run.

    What a newer version wrote and this one cannot read is left out: the run must not stop others.
    """
    stored = payload.decode(text) if text else {}
    names = {field.name for field in fields(RunPolicy)}
    known = {name: value for name, value in stored.items() if name in names}
    try:
        return JobOptions().with_overrides(known, "in a stored run").run_policy
    except ConfigurationError:
        return RunPolicy()


def unit_hash(text: str) -> float:
    """A number from 0 (inclusive) to 1 (exclusive), always the same for the same text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48


def _plain(value: Any) -> Any:
    if isinstance(value, Retry | CatchUp | Watch):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value
