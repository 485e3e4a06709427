"""Every error that Duly raises on purpose, as one tree.

    DulyError
    ├── ConfigurationError      a setting, option or declaration is wrong        (also ValueError)
    │   ├── DependencyError     jobs that cannot come after each other as declared
    │   ├── DatabaseURLError    the database URL is not one that Duly can use
    │   └── UnknownOption       an option name that does not exist
    ├── TriggerError            a trigger cannot be made                         (also ValueError)
    │   ├── CronError           … from this cron text; knows field and position
    │   └── FrequencyError      … from this frequency; knows the key at fault
    ├── NaiveDatetimeError      a datetime without a time zone                   (also ValueError)
    ├── UnknownTask             a name (or function) that nobody registered      (also LookupError)
    ├── DuplicateTask           one name for two functions                       (also ValueError)
    ├── ArgumentsError          arguments that do not fit the signature          (also ValueError)
    │   └── ArgumentsChanged    … any more: they were stored when they did
    ├── PayloadError            a value that JSON cannot hold, or too large      (also ValueError)
    ├── NotFound                                                                 (also LookupError)
    │   ├── JobNotFound
    │   ├── RunNotFound
    │   └── CalendarNotFound
    ├── Conflict                the stored state forbids it now
    │   ├── DuplicateJob        the id is taken and replace=False
    │   ├── RevisionConflict    somebody else edited the job meanwhile
    │   ├── OverlapError        the overlap policy forbids another run now
    │   ├── JobInUse            other jobs come after the one that is to be removed
    │   ├── CalendarInUse       jobs name the calendar that is to be removed
    │   └── StateError          the run is not in a state that allows this move
    ├── StoreError
    │   ├── DatabaseUnavailable the database does not answer                 (also ConnectionError)
    │   │   └── DatabaseBusy    another transaction was in the way: run yours again
    │   ├── DataRefused         a value that the database does not take
    │   └── SchemaError         Duly's tables are missing, or another database's
    │       └── SchemaTooNew    … were written by a newer Duly
    ├── LifecycleError          start, stop or tick called where it cannot work  (also RuntimeError)
    ├── TransactionError        a transactional function took over its session   (also RuntimeError)
    └── LeaseLost               this worker no longer owns the run

A running function may raise three signals. They are not errors, hence another root:

    RunSignal
    ├── RetryAfter              try again after so many seconds
    ├── Snooze                  try again later without spending an attempt
    └── Discard                 give the run up for good, for a reason
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any


def _rebuild(kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def _parts(error: Exception) -> tuple[Any, ...]:
    """What lets an error pass process borders whole, whatever its constructor asks for."""
    return _rebuild, (type(error), error.args, vars(error).copy())


class DulyError(Exception):
    """Root of everything that Duly raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _parts(self)


class ConfigurationError(DulyError, ValueError):
    """A setting, option or declaration is wrong; the message says which, and what is right."""


class DatabaseURLError(ConfigurationError):
    """The database URL is not one that Duly can use."""


class DependencyError(ConfigurationError):
    """Jobs cannot depend on each other as declared: a circle, an unknown job, too long a chain."""


class UnknownOption(ConfigurationError):
    """An option name that does not exist."""

    def __init__(self, name: str, known: Iterable[str], where: str) -> None:
        self.name, self.known, self.where = name, tuple(known), where
        super().__init__(f"unknown option {name!r} {where}{did_you_mean(name, self.known)}")


class TriggerError(DulyError, ValueError):
    """A trigger cannot be made from what was given."""


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
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"invalid frequency: {field} {problem}")
        self.field = field


class NaiveDatetimeError(DulyError, ValueError):
    """A datetime without a time zone was given where an instant is needed."""

    def __init__(self, value: datetime, what: str) -> None:
        super().__init__(
            f"{what} is the naive datetime {value.isoformat()!r}, which names no instant; "
            "attach a zone, for example value.replace(tzinfo=timezone.utc)"
        )


class UnknownTask(DulyError, LookupError):
    """A task name or function that nobody registered."""


class DuplicateTask(DulyError, ValueError):
    """One task name was given to two different functions."""


class ArgumentsError(DulyError, ValueError):
    """Arguments do not fit the task's signature."""


class ArgumentsChanged(ArgumentsError):
    """Arguments fitted when they were stored, and do not fit the function as it is now."""


class PayloadError(DulyError, ValueError):
    """A value cannot be stored as JSON, or is larger or deeper than allowed."""


class NotFound(DulyError, LookupError):
    """Nothing is stored under that id."""


class JobNotFound(NotFound):
    """No job has that id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job has the id {job_id!r}")
        self.job_id = job_id


class RunNotFound(NotFound):
    """No run has that id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no run has the id {run_id!r}")
        self.run_id = run_id


class CalendarNotFound(NotFound):
    """No calendar has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no calendar is stored under the name {name!r}")
        self.name = name


class Conflict(DulyError):
    """The stored state forbids this now."""


class DuplicateJob(Conflict):
    """The job id is taken."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"a job with the id {job_id!r} exists already; pass replace=True to change it"
        )
        self.job_id = job_id


class RevisionConflict(Conflict):
    """Somebody else changed the job since it was read."""

    def __init__(self, job_id: str, expected: int, found: int) -> None:
        super().__init__(
            f"job {job_id!r} is at revision {found}, not {expected}; read it again and repeat"
        )
        self.expected = expected
        self.found = found


class JobInUse(Conflict):
    """Other jobs come after this one."""

    def __init__(self, job_id: str, children: list[str]) -> None:
        shown = ", ".join(map(repr, children[:5])) + (", …" if len(children) > 5 else "")
        super().__init__(
            f"other jobs come after job {job_id!r} and would never run again: {shown}; remove "
            "them too, or give them another trigger first"
        )
        self.job_id = job_id
        self.children = children


class CalendarInUse(Conflict):
    """Jobs name the calendar that is to be removed."""

    def __init__(self, name: str, job_ids: list[str]) -> None:
        shown = ", ".join(map(repr, job_ids[:5])) + (", …" if len(job_ids) > 5 else "")
        super().__init__(f"calendar {name!r} is used by {len(job_ids)} jobs: {shown}")
        self.name = name
        self.job_ids = job_ids


class OverlapError(Conflict):
    """The job's overlap policy forbids another run now."""


class StateError(Conflict):
    """The run is not in a state that allows this move."""


class StoreError(DulyError):
    """The database refused or could not be used."""


class DatabaseUnavailable(StoreError, ConnectionError):
    """The database does not answer."""


class DatabaseBusy(DatabaseUnavailable):
    """Another transaction was in the way (a deadlock, a lock, a newer version of a row).

    Nothing of the transaction was stored. Duly runs its own again; one of the caller's session
    only the caller can: roll it back and run it again from its beginning.
    """


class DataRefused(StoreError):
    """The database does not take a value, or a row that clashes with a stored one."""


class SchemaError(StoreError):
    """Duly's tables are missing from this database, or belong to another one."""


class SchemaTooNew(SchemaError):
    """The tables were written by a newer Duly; nothing was changed."""


class LifecycleError(DulyError, RuntimeError):
    """Start, stop or tick was called where it cannot work."""


class TransactionError(DulyError, RuntimeError):
    """A transactional function or its session cannot be committed as one with its run.

    The message says what was done with the session and what to do instead; everything is rolled
    back.
    """


class LeaseLost(DulyError):
    """This worker no longer owns the run; what it did must not be committed."""


class RunSignal(Exception):
    """Root of what a running function may raise to steer its own run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _parts(self)


class RetryAfter(RunSignal):
    """Fail this attempt and try again after a delay, within the run's attempts.

    Args:
        delay: seconds, or a timedelta, until the next attempt.
    """

    def __init__(self, delay: float | timedelta) -> None:
        self.delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        super().__init__(f"try again in {self.delay}")


class Snooze(RunSignal):
    """Put the run off without spending an attempt.

    Args:
        until: an aware datetime.
        seconds: or a delay from now; exactly one of the two.

    Raises:
        NaiveDatetimeError: ``until`` has no time zone.
        TypeError: both or neither were given.
    """

    def __init__(self, until: datetime | None = None, *, seconds: float | None = None) -> None:
        if (until is None) == (seconds is None):
            raise TypeError("Snooze takes either until= or seconds=")
        if until is not None and until.tzinfo is None:
            raise NaiveDatetimeError(until, "Snooze(until=…)")
        self.until = until
        self.delay = None if seconds is None else timedelta(seconds=seconds)
        super().__init__(f"snoozed until {until}" if until else f"snoozed for {self.delay}")


class Discard(RunSignal):
    """Give the run up for good; no retry follows.

    Args:
        reason: stored with the run and shown to people.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error message: the nearest known names, or all of them when none is near."""
    import difflib  # noqa: PLC0415 - for errors alone

    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(choices)}" if choices else ""
