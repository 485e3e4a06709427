"""Errors as plain values, which are stored, or sent from one process to another."""

from __future__ import annotations

import traceback
from datetime import datetime, timedelta
from typing import Any

from duly.errors import Discard, RetryAfter, Snooze
from duly.model.text import safe_str, storable_text
from duly.model.transition import ErrorFacts

MAX_MESSAGE = 4_000
MAX_TRACEBACK = 32_000


class RemoteError(Exception):
    """An error in another process, of which only the facts are known here.

    Attributes:
        facts: its type, message and traceback.
    """

    def __init__(self, facts: ErrorFacts) -> None:
        super().__init__(facts[1])
        self.facts = facts


def describe(error: BaseException) -> ErrorFacts:
    """Return the type, message and traceback of an error, ready to be stored."""
    for known in (error, error.__cause__):
        if isinstance(known, RemoteError):
            return known.facts
    lines = traceback.format_exception(error, limit=-50)
    return (
        storable_text(type(error).__qualname__, 191),
        safe_str(error, MAX_MESSAGE),
        storable_text("".join(lines), MAX_TRACEBACK),
    )


def packed(error: BaseException) -> dict[str, Any]:
    """Return an error as plain values: its facts, and what it asks for if it is a signal."""
    values: dict[str, Any] = {"facts": describe(error)}
    if isinstance(error, RetryAfter):
        values["retry_after"] = error.delay.total_seconds()
    elif isinstance(error, Snooze):
        values["snooze_until"] = error.until.isoformat() if error.until else None
        values["snooze"] = error.delay.total_seconds() if error.delay is not None else None
    elif isinstance(error, Discard):
        values["discard"] = safe_str(error, MAX_MESSAGE)
    return values


def unpacked(values: dict[str, Any]) -> BaseException:
    """Return the error that `packed` turned into plain values."""
    kind, message, trace = values["facts"]
    error = RemoteError((kind, message, trace))
    signal: BaseException = error
    if "retry_after" in values:
        signal = RetryAfter(timedelta(seconds=values["retry_after"]))
    elif values.get("snooze_until"):
        signal = Snooze(datetime.fromisoformat(values["snooze_until"]))
    elif "snooze" in values:
        signal = Snooze(seconds=values["snooze"])
    elif "discard" in values:
        signal = Discard(values["discard"])
    if signal is not error:
        signal.__cause__ = error
    return signal
