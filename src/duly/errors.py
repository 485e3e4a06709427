"""Every error that Duly raises on purpose, as one tree.

    DulyError
    ├── ConfigurationError      a setting, option or declaration is not valid    (also ValueError)
    │   ├── DependencyError     jobs cannot depend on each other as declared
    │   ├── DatabaseURLError    the database URL is not one that Duly can use
    │   └── UnknownOption       there is no option of this name
    ├── TriggerError            a trigger is not valid                           (also ValueError)
    │   ├── CronError           a cron expression is not valid; has the field and the position
    │   └── FrequencyError      a frequency is not valid; has the key
    ├── NaiveDatetimeError      a datetime without a time zone                   (also ValueError)
    ├── UnknownTask             no task is registered under this name            (also LookupError)
    ├── DuplicateTask           two functions were registered under one name     (also ValueError)
    ├── ArgumentsError          arguments do not match the task's signature      (also ValueError)
    │   └── ArgumentsChanged    the signature has changed since they were stored
    ├── SecretError             a secret of the arguments cannot be resolved     (also LookupError)
    ├── PayloadError            a value is not JSON, too large or too deep       (also ValueError)
    ├── NotFound                nothing is stored under this id                  (also LookupError)
    │   ├── JobNotFound
    │   ├── RunNotFound
    │   ├── CalendarNotFound
    │   ├── KeyNotFound
    │   ├── NoticeNotFound
    │   ├── NoticeRuleNotFound
    │   └── WorkerNotFound
    ├── Conflict                the stored state does not allow this now
    │   ├── DuplicateJob        the id is taken and replace=False
    │   ├── DuplicateNoticeRule the name of a notice rule is taken
    │   ├── RevisionConflict    the job was edited after it was read
    │   ├── OverlapError        the overlap policy does not allow another run now
    │   ├── JobInUse            other jobs depend on the job to be removed
    │   ├── CalendarInUse       jobs use the calendar to be removed
    │   └── StateError          the run's state does not allow this
    ├── StoreError              the database refused a statement or cannot be used
    │   ├── DatabaseUnavailable the database does not respond                (also ConnectionError)
    │   │   └── DatabaseBusy    another transaction conflicted with yours: run it again
    │   ├── DataRefused         the database does not accept a value or a row
    │   └── SchemaError         Duly's tables are missing or do not belong to this application
    │       └── SchemaTooNew    the tables were created by a newer version of Duly
    ├── TooManyWaiting          too many awaitable calls wait for runs in this process
    ├── LifecycleError          start, stop or tick in the wrong state           (also RuntimeError)
    ├── TransactionError        a session that cannot commit with its run        (also RuntimeError)
    ├── NotDelivered            a channel could not send a notice
    │   └── AddressRefused      its target is an address that may not be contacted
    ├── ExecutorUnavailable     the system behind an executor cannot be reached
    ├── LeaseLost               this worker no longer owns the run
    ├── RunFailed               a run failed without an exception of its function
    └── SignatureError          a webhook's signature is not valid               (also ValueError)

A task's function may raise one of four signals to control its own run. They are not errors, so
they have a separate base class:

    RunSignal
    ├── RetryAfter              try again after a delay
    ├── Snooze                  postpone the run without using up an attempt
    ├── Fail                    fail now, although attempts are left
    └── Discard                 give up the run for good, for a reason

`RunInterrupted` ends the function of a run that must stop. It is not an `Exception`, so that
``except Exception`` in the function does not catch it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from duly.foreign_names import OPTIONS


def _rebuild(kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def _parts(error: Exception) -> tuple[Any, ...]:
    """Return what pickle needs to rebuild an error without calling its constructor."""
    return _rebuild, (type(error), error.args, vars(error).copy())


class DulyError(Exception):
    """Base class of every error that Duly raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _parts(self)


class ConfigurationError(DulyError, ValueError):
    """A setting, option or declaration is not valid; the message names it and what is allowed."""


class DatabaseURLError(ConfigurationError):
    """The database URL is not one that Duly can use."""


class DependencyError(ConfigurationError):
    """Jobs cannot depend on each other as declared: a cycle, an unknown job or a long chain."""


class UnknownOption(ConfigurationError):
    """There is no option of this name."""

    def __init__(
        self, name: str, known: Iterable[str], where: str, advice: Mapping[str, str] = OPTIONS
    ) -> None:
        self.name, self.known, self.where = name, tuple(known), where
        hint = f"; {advice[name]}" if name in advice else did_you_mean(name, self.known)
        super().__init__(f"unknown option {name!r} {where}{hint}")


class TriggerError(DulyError, ValueError):
    """A trigger is not valid."""


class CronError(TriggerError):
    """A cron expression is invalid.

    Attributes:
        expression: the whole expression.
        field: the invalid field (``"minute"``, …), or ``None`` for the expression as a whole.
        text: the invalid part.
        position: where that part starts in ``expression``, counted from 0.
    """

    def __init__(
        self, problem: str, *, expression: str, text: str, position: int, field: str | None = None
    ) -> None:
        shown = expression if len(expression) <= 80 else expression[:77] + "..."
        part = text if len(text) <= 40 else text[:37] + "..."
        where = f"{field} field, position {position}" if field else f"position {position}"
        where += "" if not part or repr(part) in problem else f": {part!r}"
        super().__init__(f"invalid cron expression {shown!r}: {problem} ({where})")
        self.expression = expression
        self.field = field
        self.text = text
        self.position = position


class FrequencyError(TriggerError):
    """A frequency is invalid; see ``duly.triggers.frequency``.

    Attributes:
        field: the invalid key, such as ``"dayOfWeek"``.
        index: the position of the invalid item in the list of that key; ``None``: it has none.
        problem: what is wrong, without the key.
    """

    def __init__(self, field: str, problem: str, index: int | None = None) -> None:
        self.field = field
        self.index = index
        self.problem = problem
        super().__init__(f"invalid frequency: {self.path}: {problem}")

    @property
    def path(self) -> str:
        """The invalid key or item, such as ``"dayOfWeek[1]"``."""
        return self.field if self.index is None else f"{self.field}[{self.index}]"


class NaiveDatetimeError(DulyError, ValueError):
    """A datetime has no time zone, so it does not identify an instant."""

    def __init__(self, value: datetime, what: str) -> None:
        super().__init__(
            f"{what} is the naive datetime {value.isoformat()!r}, which does not identify an "
            "instant; attach a time zone, for example value.replace(tzinfo=timezone.utc)"
        )


class UnknownTask(DulyError, LookupError):
    """No task is registered under this name, or for this function."""


class DuplicateTask(DulyError, ValueError):
    """Two different functions were registered under one task name."""


class ArgumentsError(DulyError, ValueError):
    """Arguments do not match the task's signature.

    Attributes:
        problems: the position of each wrong value, as names and indexes, and what is wrong with it;
            empty if the arguments as a whole are wrong.
    """

    def __init__(
        self, message: str = "", problems: Iterable[tuple[tuple[str | int, ...], str]] = ()
    ) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class ArgumentsChanged(ArgumentsError):
    """Stored arguments no longer match the task's signature."""


class SecretError(DulyError, LookupError):
    """A secret of a run's arguments cannot be resolved where the run is executed."""


class PayloadError(DulyError, ValueError):
    """A value cannot be stored as JSON, or is larger or more deeply nested than allowed."""


class NotFound(DulyError, LookupError):
    """Nothing is stored under this id."""


class JobNotFound(NotFound):
    """No job has this id."""

    def __init__(self, job_id: str, known: Iterable[str] = ()) -> None:
        super().__init__(f"no job has the id {job_id!r}{closest(job_id, known)}")
        self.job_id = job_id


class RunNotFound(NotFound):
    """No run has this id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no run has the id {run_id!r}")
        self.run_id = run_id


class CalendarNotFound(NotFound):
    """No calendar has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no calendar is stored under the name {name!r}")
        self.name = name


class KeyNotFound(NotFound):
    """No key of the REST API has this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no key has the id {key_id[:40]!r}; keys() lists their ids")
        self.key_id = key_id


class WorkerNotFound(NotFound):
    """No worker has this id."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(f"no worker has the id {worker_id[:40]!r}; workers() lists their ids")
        self.worker_id = worker_id


class NoticeNotFound(NotFound):
    """No notice has this id."""

    def __init__(self, notice_id: str) -> None:
        super().__init__(f"no notice has the id {notice_id!r}")
        self.notice_id = notice_id


class NoticeRuleNotFound(NotFound):
    """No notice rule of this name was added by a call."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no notice rule {name!r} was added by a call; a rule that code declares is removed "
            "from the code"
        )
        self.name = name


class Conflict(DulyError):
    """The stored state does not allow this now."""


class DuplicateJob(Conflict):
    """The job id is already taken."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"a job with the id {job_id!r} already exists; pass replace=True to change it"
        )
        self.job_id = job_id


class DuplicateNoticeRule(Conflict):
    """The name of a notice rule is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a notice rule {name!r} exists already; remove it first")
        self.name = name


class RevisionConflict(Conflict):
    """The job was changed after it was read."""

    def __init__(self, job_id: str, expected: int, found: int) -> None:
        super().__init__(
            f"job {job_id!r} is at revision {found}, not {expected}: it was changed after it was "
            "read; read it again and repeat the change"
        )
        self.expected = expected
        self.found = found


class JobInUse(Conflict):
    """Other jobs depend on this job."""

    def __init__(self, job_id: str, children: list[str]) -> None:
        shown = ", ".join(map(repr, children[:5])) + (", …" if len(children) > 5 else "")
        super().__init__(
            f"job {job_id!r} cannot be removed: {shown} would never run again, because they run "
            "after it; remove them too, or give them another trigger first"
        )
        self.job_id = job_id
        self.children = children


class CalendarInUse(Conflict):
    """Jobs use this calendar."""

    def __init__(self, name: str, job_ids: list[str]) -> None:
        shown = ", ".join(map(repr, job_ids[:5])) + (", …" if len(job_ids) > 5 else "")
        count = f"{len(job_ids)} job" + ("" if len(job_ids) == 1 else "s")
        super().__init__(
            f"calendar {name!r} cannot be removed: it is used by {count}: {shown}; "
            "give them another trigger first"
        )
        self.name = name
        self.job_ids = job_ids


class OverlapError(Conflict):
    """The job's overlap policy does not allow another run now."""

    def __init__(self, text: str, *, job_id: str | None = None, overlap: str | None = None) -> None:
        super().__init__(text)
        self.job_id = job_id
        self.overlap = overlap


class StateError(Conflict):
    """The run's state does not allow this."""


class StoreError(DulyError):
    """The database refused a statement or cannot be used."""


class DatabaseUnavailable(StoreError, ConnectionError):
    """The database does not respond."""


class DatabaseBusy(DatabaseUnavailable):
    """Another transaction conflicted with this one (a deadlock, a lock, a newer version of a row).

    Nothing in the transaction was stored. Duly retries its own transactions; the transaction of a
    caller's session can only be retried by the caller: roll it back and run it from the start.
    """


class DataRefused(StoreError):
    """The database does not accept a value, or a row that conflicts with a stored one."""


class SchemaError(StoreError):
    """Duly's tables are missing from this database, or do not belong to this application."""


class SchemaTooNew(SchemaError):
    """The tables were created by a newer version of Duly; nothing was changed."""


class TooManyWaiting(DulyError):
    """Too many awaitable calls wait for runs in this process already; nothing was done."""


class LifecycleError(DulyError, RuntimeError):
    """Start, stop or tick was called in a state that does not allow it."""


class TransactionError(DulyError, RuntimeError):
    """A session cannot be committed, or rolled back, together with what Duly stores in it.

    The message says what the session is, or what was done with it, and what to do instead. A call
    with such a ``session=`` stores nothing; a transactional function's session is rolled back.
    """


class NotDelivered(DulyError):
    """A notice or a webhook could not be sent.

    Attributes:
        away: whether the whole service does not respond, so that other notices would fail too.
        final: whether it would be refused again, so that it is not tried again.
        status: the HTTP status with which a webhook was answered; ``None``: it was not answered.
    """

    def __init__(
        self, reason: str, *, away: bool = False, final: bool = False, status: int | None = None
    ) -> None:
        super().__init__(reason)
        self.away = away
        self.final = final
        self.status = status


class AddressRefused(NotDelivered):
    """The target of an outgoing request is an address that may not be contacted."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason, final=True, status=status)


class ExecutorUnavailable(DulyError):
    """The other system to which an executor hands runs cannot be reached, such as a broker."""


class LeaseLost(DulyError):
    """This worker no longer owns the run, so its work must not be committed."""


class RunFailed(DulyError):
    """A run failed without an exception of its function, for example by a timeout."""


class SignatureError(DulyError, ValueError):
    """The signature of a webhook is not valid, or is too old."""


class RunSignal(Exception):
    """Base class of the signals that a task's function may raise to control its own run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _parts(self)


class RetryAfter(RunSignal):
    """Fail this attempt and try again after a delay, if the run has attempts left.

    Args:
        delay: time until the next attempt, as seconds or a timedelta.
    """

    def __init__(self, delay: float | timedelta) -> None:
        self.delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        super().__init__(f"try again in {self.delay}")


class Snooze(RunSignal):
    """Postpone the run without using up an attempt.

    Args:
        until: when to run it, as an aware datetime.
        seconds: the delay from now; give either this or ``until``.

    Raises:
        NaiveDatetimeError: ``until`` has no time zone.
        TypeError: both arguments were given, or neither.
    """

    def __init__(self, until: datetime | None = None, *, seconds: float | None = None) -> None:
        if (until is None) == (seconds is None):
            raise TypeError("Snooze takes exactly one of until= and seconds=")
        if until is not None and until.tzinfo is None:
            raise NaiveDatetimeError(until, "Snooze(until=…)")
        self.until = until
        self.delay = None if seconds is None else timedelta(seconds=seconds)
        super().__init__(f"snoozed until {until}" if until else f"snoozed for {self.delay}")


class Fail(RunSignal):
    """Fail the run now, although attempts are left: another attempt would fail in the same way.

    The run becomes a dead letter, which a person can retry. With ``raise Fail from error``, the
    type, the message and the traceback of ``error`` are stored.

    Args:
        reason: stored as the error's message, unless the signal has a cause.
    """

    def __init__(self, reason: str = "failed for good") -> None:
        self.reason = reason
        super().__init__(reason)


class Discard(RunSignal):
    """Give up the run for good: it is not retried.

    Args:
        reason: stored with the run and shown on its page.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class RunInterrupted(BaseException):
    """The run must stop: it was cancelled or timed out, or its worker is stopping.

    `Run.check` and `Run.track` raise it, and it interrupts functions in processes of their own.
    Let it end the function. If the worker is stopping, the run is then given back, and another
    worker executes it again without counting this attempt. Like `asyncio.CancelledError` it is a
    `BaseException`; catch it only to clean up, and raise it again.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the closest known name, or all names if none is close."""
    choices = sorted(known)
    found = closest(name, choices)
    if found or not choices:
        return found
    return f"; known: {', '.join(choices)}"


def closest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the closest known name, or nothing if none is close."""
    import difflib  # noqa: PLC0415 - only errors need it

    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
