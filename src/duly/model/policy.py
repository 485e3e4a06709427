"""The options of jobs and tasks: how a job fires, and how its runs are executed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, Self, TypedDict

from duly.errors import ConfigurationError, UnknownOption
from duly.misuse import explains_arguments
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
    yes_or_no,
)
from duly.model.record import Shown
from duly.model.redaction import HIDDEN
from duly.model.watch import Watch

Overlap = Literal["skip", "queue", "allow", "cancel_running"]
OnCrash = Literal["retry", "fail"]
Seconds = float | timedelta
CatchUpMode = Literal["latest", "all", "none"]
Scope = Literal["shared", "process"]
"""Whether all processes share the times of a job, or each process has its own."""

QUARANTINE_AFTER = 2
"""The number of crashes after which a run executes alone: any run of a crashed worker may be the
cause."""

CRASH_LIMIT = 3
"""The number of crashes after which a run fails, if it executed alone in the last of them."""

KEEP_DAYS = {"succeeded": 30, "failed": 90}
KEEP_DAYS_OTHERWISE = 30


_CATCH_UP: Mapping[str, Check] = {
    "mode": choice("latest", "all", "none"),
    "limit": whole(1, 10_000),
    "max_age": optional(TIME),
}


@explains_arguments
@dataclass(frozen=True, slots=True)
class CatchUp:
    """The policy for nominal times that passed while no worker could fire them.

    Attributes:
        mode: ``latest`` runs the newest and records the others as missed; ``all`` runs each, oldest
            first; ``none`` runs only those that are still on time.
        limit: the maximum number of runs with ``all``; older times are recorded as missed.
        max_age: the age in seconds beyond which times are recorded as missed; ``None``: no limit.

    Raises:
        ConfigurationError: the mode is unknown, or a number is out of range.
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


@explains_arguments
@dataclass(frozen=True, slots=True)
class Retry:
    """The policy for retrying failed runs: how many attempts, and when.

    Attributes:
        attempts: the maximum number of attempts, including the first.
        wait: seconds before the second attempt.
        factor: the number by which each further wait is multiplied.
        max_wait: the longest wait, in seconds.
        jitter: the fraction of the wait (0 to 1) by which it is varied, up or down, so that runs
            that fail together are not all retried together.

    Raises:
        ConfigurationError: a number is out of range.
    """

    attempts: int = 3
    wait: float = 30
    factor: float = 2
    max_wait: float = 900
    jitter: float = 0.2

    def __post_init__(self) -> None:
        check_fields(self, _RETRY, "Retry({}=…)")

    def delay(self, failed: int, key: str) -> timedelta:
        """Return the wait after a number of failed attempts.

        Args:
            failed: the number of failed attempts, 1 or more.
            key: the run's id; the same key and number always give the same wait.
        """
        try:
            wait = min(self.wait * self.factor ** (failed - 1), self.max_wait)
        except OverflowError:
            wait = min(self.wait, 1) * self.max_wait
        spread = 2 * unit_hash(f"{key}/{failed}") - 1
        return timedelta(seconds=wait * (1 + self.jitter * spread))


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """The part of a job's options that is stored with each run when it is created.

    Attributes:
        retry: ``None``: one attempt.
        timeout: the maximum duration of an attempt, in seconds; ``None``: no limit.
        on_crash: ``retry`` or ``fail``: what to do with the run if its worker dies.
        keep: days that the finished run stays in history; ``None``: 30, or 90 if it failed.
        ping: a URL that is requested after a success.
    """

    retry: Retry | None = None
    timeout: float | None = None
    on_crash: OnCrash = "retry"
    keep: float | None = None
    ping: str | None = None

    @property
    def max_attempts(self) -> int:
        """The maximum number of attempts."""
        return self.retry.attempts if self.retry else 1

    def keep_until(self, state: str, finished: datetime) -> datetime:
        """Return the instant from which a run that ended in ``state`` may be deleted."""
        days = self.keep if self.keep is not None else KEEP_DAYS.get(state, KEEP_DAYS_OTHERWISE)
        return finished + timedelta(days=days)


def _instance_of(kind: type[Any], main_field: str) -> Check:
    """Return a check for an instance of a dataclass.

    It also accepts a mapping of the fields, or the value of ``main_field`` alone.
    """

    def check(name: str, value: Any) -> Any:
        if isinstance(value, kind):
            return value
        values = value if isinstance(value, Mapping) else {main_field: value}
        known = [field.name for field in fields(kind)]
        for option in values:
            if option not in known:
                raise UnknownOption(str(option), known, f"in {name}=")
        try:
            return kind(**values)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}={value!r}: {error}") from None

    return check


_OPTIONS: Mapping[str, Check] = {
    "queue": label(64),
    "priority": whole(-32768, 32767),
    "retry": optional(_instance_of(Retry, "attempts")),
    "timeout": optional(TIME),
    "on_crash": choice("retry", "fail"),
    "expires": optional(TIME),
    "keep": optional(number(0, 36_500, "more than 0 days, at most 36500", above=True)),
    "misfire_grace": optional(SECONDS),
    "catch_up": _instance_of(CatchUp, "mode"),
    "overlap": choice("skip", "queue", "allow", "cancel_running"),
    "max_running": whole(1, 1000),
    "jitter": SECONDS,
    "start": optional(instant),
    "end": optional(instant),
    "max_fires": optional(whole(1, 2**63 - 1)),
    "at_start": yes_or_no,
    "concurrency_key": optional(label(191)),
    "watch": optional(_instance_of(Watch, "expected_every")),
    "owner": optional(label(191)),
    "ping": optional(web_address),
}


ON_TIME = timedelta(seconds=30)
"""How late a fire may be with ``catch_up="none"`` and without a misfire_grace."""


LEAST_GRACE_S = 0.1
"""Below this ``misfire_grace``, hardly any fire is in time."""


def _hide_address(address: str | None) -> str | None:
    """Return what is shown of an address: who has it can report successes."""
    return None if address is None else HIDDEN


@explains_arguments
@dataclass(frozen=True)
class JobOptions:
    """The options of a job, all optional; a task takes those marked (t).

    Attributes:
        queue: (t) the queue of its runs.
        priority: (t) of the runs that are ready, those with the smallest number start first.
        retry: (t) see `Retry`; an int is the number of attempts. ``None``: one attempt.
        timeout: (t) the maximum duration of an attempt, in seconds; ``None``: no limit.
        on_crash: (t) ``retry`` or ``fail``: what to do with a run whose worker died.
        expires: (t) seconds that a run may wait for its first start; then it is ``missed``.
        keep: (t) days that finished runs stay in history; ``None``: 30, failed ones 90.
        misfire_grace: seconds by which a job may fire after its nominal time; ``None``: no limit.
        catch_up: see `CatchUp`; the name of a mode is accepted too.
        overlap: what to do when the job fires while ``max_running`` of its runs are unfinished:
            ``skip`` the new run, ``queue`` it unless one waits already, ``allow`` it, or
            ``cancel_running``: cancel the others and run it next.
        max_running: the number of unfinished runs at which ``overlap`` applies.
        jitter: seconds over which starts are spread; nominal times do not change.
        start: no nominal time is before this instant.
        end: no nominal time is after this instant.
        max_fires: the number of fires after which the job is finished.
        at_start: whether a job that code declares also runs each time that the application
            starts. Processes that start within a minute of each other are one start.
        concurrency_key: (t) runs with the same key, whatever their job, task, queue or worker, run
            one at a time, or as many at once as ``scheduler.set_limit`` allows.
        watch: see `Watch`; a number is its ``expected_every``, in seconds.
        owner: whom the job and its runs belong to, such as a customer; a user who may see
            only one owner's jobs sees these (``Principal(owners=…)``).
        ping: (t) a URL that is requested after each success, so that an outside service notices
            when nothing runs here any more.

    Raises:
        ConfigurationError: a value is out of range.
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
    at_start: bool = False
    concurrency_key: str | None = None
    watch: Watch | None = None
    owner: str | None = None
    ping: Annotated[str | None, Shown(_hide_address)] = None

    def __post_init__(self) -> None:
        check_fields(self, _OPTIONS, "{}")

    @cached_property
    def run_policy(self) -> RunPolicy:
        """The options that are stored with each run."""
        return RunPolicy(self.retry, self.timeout, self.on_crash, self.keep, self.ping)

    @cached_property
    def run_policy_text(self) -> str | None:
        """`run_policy` as JSON text; ``None`` if it equals the default."""
        return encode_policy(self.run_policy)

    @cached_property
    def allowed_lateness(self) -> tuple[timedelta | None, str]:
        """The maximum lateness of a fire, or ``None``, and the option that sets it, in words."""
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

    @property
    def futile(self) -> str | None:
        """Why no fire of the job leads to a run, if these options cause that."""
        if self.start is not None and self.end is not None and self.start > self.end:
            return f"start={self.start.isoformat()} is after end={self.end.isoformat()}"
        if self.misfire_grace is not None and self.misfire_grace < LEAST_GRACE_S:
            grace = f"misfire_grace={self.misfire_grace:g}"
            return f"{grace} misses every time, because firing takes some milliseconds"
        return None

    def with_overrides(self, overrides: Mapping[str, Any], where: str) -> Self:
        """Return a copy with some options replaced.

        Args:
            overrides: option names and values, as a user writes them.
            where: the place that errors name, for example ``"for job 'x'"``.

        Raises:
            UnknownOption: there is no option of this name.
            ConfigurationError: a value has the wrong type, or is out of range.
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
    at_start: bool
    watch: Watch | Seconds | Mapping[str, Any] | None
    owner: str | None


TASK_OPTIONS = frozenset(TaskOptionFields.__annotations__)
PROCESS_OPTIONS = frozenset({"timeout", "misfire_grace", "jitter", "start", "end", "at_start"})
"""The options of a job with ``scope="process"``."""

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
    """Return the options of a stored job.

    Raises:
        ConfigurationError: this version does not know an option, or its value.
    """
    stored = payload.decode(text) if text else {}
    if not isinstance(stored, dict):
        raise ConfigurationError(f"options must be names and values, not {text!r}")
    return JobOptions().with_overrides(stored, "in a stored job")


@lru_cache(maxsize=1024)
def decode_run_policy(text: str | None) -> RunPolicy:
    """Return the policy of a stored run.

    Values of a newer version that this one cannot read are ignored, each by itself, so that such a
    run does not hold up others.
    """
    stored = payload.decode(text) if text else {}
    options = JobOptions()
    for name in stored.keys() & {field.name for field in fields(RunPolicy)}:
        with contextlib.suppress(ConfigurationError):
            options = options.with_overrides({name: stored[name]}, "in a stored run")
    return options.run_policy


def unit_hash(text: str) -> float:
    """Return a number from 0 (inclusive) to 1 (exclusive) that depends only on the text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48


def _plain(value: Any) -> Any:
    if isinstance(value, Retry | CatchUp | Watch):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value
