"""How a call failed, as plain values: stored, sent to another process, and decided upon.

An exception is turned into values where its function ran. Everything about it may be code of the
application (`__str__` may be slow, raise, or exit), which must not run on the engine's threads.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from duly.clock import aware_utc
from duly.errors import ArgumentsError, Discard, Fail, RetryAfter, Snooze
from duly.model.checks import LATEST
from duly.model.text import safe_str, storable_text
from duly.model.transition import ErrorFacts

MAX_MESSAGE = 4_000
MAX_TRACEBACK = 32_000
MAX_READ = 1_000_000
EARLIEST = datetime.min.replace(tzinfo=UTC)

Hide = Callable[[str], str]
"""Hides the values of secrets in text."""

Kind = Literal["error", "permanent", "retry_after", "snooze", "discard"]
"""What a failure asks for: ``error`` leaves it to the retry policy; ``permanent`` is not retried;
the others are the signals of `duly.errors.RunSignal`."""


@dataclass(frozen=True, slots=True)
class CallError:
    """How a call failed.

    Attributes:
        facts: the error's type, message and traceback.
        kind: what it asks for.
        when: of ``retry_after`` and ``snooze``: the delay, or an instant in UTC.
    """

    facts: ErrorFacts
    kind: Kind = "error"
    when: datetime | timedelta | None = None

    @classmethod
    def of(cls, error: BaseException, hide: Hide = str) -> CallError:
        """Turn an exception into values; it runs code of the application, and never raises.

        Args:
            error: the exception.
            hide: hides the values of secrets in text.
        """
        try:
            return _read(error, hide)
        except BaseException as problem:  # noqa: BLE001 - a foreign exception may raise anything
            name = storable_text(type(error).__name__, 191)
            message = f"<not available: reading the error raised {type(problem).__name__}>"
            return cls((name, message, None), "permanent" if _is_signal(error) else "error")

    def packed(self) -> dict[str, Any]:
        """Return it as a JSON value; see `unpacked`."""
        values: dict[str, Any] = {"facts": self.facts, "kind": self.kind}
        if isinstance(self.when, datetime):
            values["until"] = self.when.isoformat()
        elif self.when is not None:
            values["delay"] = [self.when.days, self.when.seconds, self.when.microseconds]
        return values

    @classmethod
    def unpacked(cls, values: dict[str, Any]) -> CallError:
        """Return what `packed` turned into a JSON value."""
        name, message, trace = values["facts"]
        when: datetime | timedelta | None = None
        if "until" in values:
            when = datetime.fromisoformat(values["until"])
        elif "delay" in values:
            when = timedelta(*values["delay"])
        return cls((name, message, trace), values["kind"], when)


def describe(error: BaseException, hide: Hide = str) -> ErrorFacts:
    """Return the type, message and traceback of an error, ready to be stored.

    Secrets are hidden before a text is shortened, which could leave a part of one.
    """
    lines = traceback.format_exception(error, limit=-50)
    return (
        storable_text(hide(type(error).__qualname__), 191),
        storable_text(hide(safe_str(error, MAX_READ)), MAX_MESSAGE),
        storable_text(hide("".join(lines)), MAX_TRACEBACK),
    )


def _read(error: BaseException, hide: Hide) -> CallError:
    facts = describe((isinstance(error, Fail) and error.__cause__) or error, hide)
    if isinstance(error, Fail):
        return CallError(facts, "permanent")
    if isinstance(error, Discard):
        return CallError(facts, "discard")
    if isinstance(error, Snooze):
        if error.until is not None:
            return CallError(facts, "snooze", _instant(error.until))
        return CallError(facts, "snooze", _delay(error.delay or timedelta()))
    if isinstance(error, RetryAfter):
        return CallError(facts, "retry_after", _delay(error.delay))
    return CallError(facts, "permanent" if isinstance(error, ArgumentsError) else "error")


def _is_signal(error: BaseException) -> bool:
    return isinstance(error, Discard | Fail | Snooze | RetryAfter)


def _instant(until: datetime) -> datetime:
    try:
        return aware_utc(until, "until=")
    except OverflowError:  # one end of the calendar, in a zone
        return EARLIEST if until.year < LATEST.year // 2 else LATEST


def _delay(delay: timedelta) -> timedelta:
    return timedelta(delay.days, delay.seconds, delay.microseconds)
