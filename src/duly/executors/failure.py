"""Errors as facts: what is stored of them, and what crosses from one process to another."""

from __future__ import annotations

import traceback
from datetime import datetime, timedelta
from typing import Any

from duly.errors import Discard, RetryAfter, Snooze
from duly.model.text import safe_str, storable_text

MAX_MESSAGE = 4_000
MAX_TRACEBACK = 32_000

Facts = tuple[str, str, str | None]
"""An error's type, message and traceback."""


class RemoteError(Exception):
    """An error of another process, which this one knows only the facts of.

    Attributes:
        facts: see `Facts`.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts[1])
        self.facts = facts


def describe(error: BaseException) -> Facts:
    """Type, message and traceback of an error, ready to be stored."""
    for held in (error, error.__cause__):
        if isinstance(held, RemoteError):
            return held.facts
    lines = traceback.format_exception(error, limit=-50)
    return (
        storable_text(type(error).__qualname__, 191),
        safe_str(error, MAX_MESSAGE),
        storable_text("".join(lines), MAX_TRACEBACK),
    )


def packed(error: BaseException) -> dict[str, Any]:
    """An error as plain values: its facts, and what it asks for if it is a signal."""
    held: dict[str, Any] = {"facts": describe(error)}
    if isinstance(error, RetryAfter):
        held["retry_after"] = error.delay.total_seconds()
    elif isinstance(error, Snooze):
        held["snooze_until"] = error.until.isoformat() if error.until else None
        held["snooze"] = error.delay.total_seconds() if error.delay is not None else None
    elif isinstance(error, Discard):
        held["discard"] = safe_str(error, MAX_MESSAGE)
    return held


def unpacked(held: dict[str, Any]) -> BaseException:
    """The error that `packed` made plain values of."""
    kind, message, trace = held["facts"]
    error = RemoteError((kind, message, trace))
    signal: BaseException = error
    if "retry_after" in held:
        signal = RetryAfter(timedelta(seconds=held["retry_after"]))
    elif held.get("snooze_until"):
        signal = Snooze(datetime.fromisoformat(held["snooze_until"]))
    elif "snooze" in held:
        signal = Snooze(seconds=held["snooze"])
    elif "discard" in held:
        signal = Discard(held["discard"])
    if signal is not error:
        signal.__cause__ = error
    return signal
