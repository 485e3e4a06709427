"""The only source of time: nothing else in Duly reads a clock or sleeps."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from duly.errors import NaiveDatetimeError

_steady = getattr(time, "CLOCK_BOOTTIME", None)
_MIN = datetime.min.replace(tzinfo=UTC)
_MAX = datetime.max.replace(tzinfo=UTC)
_PLAIN = (datetime,)
"""In a tuple, where freezegun does not replace it."""


class Clock(Protocol):
    """The interface of a clock.

    Attributes:
        follows_database: whether ``now`` is corrected by the clock of the database server, if
            there is one.
    """

    follows_database: bool

    def now(self) -> datetime:
        """Return the current time as an aware datetime in UTC."""

    def monotonic(self) -> float:
        """Return the seconds of a steady clock, which changes of the wall clock do not affect."""

    def wait(self, wake: threading.Event, timeout: float) -> bool:
        """Wait until ``wake`` is set, at most ``timeout`` seconds; return whether it was set."""

    def pause(self, seconds: float) -> None:
        """Sleep for a number of seconds, so that other processes can proceed."""


class SystemClock:
    """The clock of this machine."""

    follows_database = True

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `Clock.monotonic`; on Linux it includes the time while the machine is suspended."""
        return time.monotonic() if _steady is None else time.clock_gettime(_steady)

    def wait(self, wake: threading.Event, timeout: float) -> bool:
        """See `Clock.wait`."""
        return wake.wait(max(0.0, timeout))

    def pause(self, seconds: float) -> None:
        """See `Clock.pause`."""
        time.sleep(seconds)


class VirtualClock:
    """A clock that only moves when its methods are called, for tests and simulations.

    Args:
        start: the initial time, as an aware datetime; default: 2026-01-01T00:00:00Z.

    Raises:
        NaiveDatetimeError: ``start`` has no time zone.
    """

    follows_database = False

    def __init__(self, start: datetime | None = None) -> None:
        start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._now = aware_utc(start, "VirtualClock(start)")
        self._steady = 0.0
        self._moved = threading.Condition()

    def now(self) -> datetime:
        """See `Clock.now`."""
        with self._moved:
            return self._now

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        with self._moved:
            return self._steady

    def wait(self, wake: threading.Event, timeout: float) -> bool:
        """Wait until ``wake`` is set, or this clock has been advanced by ``timeout`` seconds."""
        with self._moved:
            end = self._steady + timeout
            while not wake.is_set() and self._steady < end:
                self._moved.wait(0.01)
        return wake.is_set()

    def pause(self, seconds: float) -> None:
        """Let other threads proceed for a millisecond, without moving this clock."""
        time.sleep(0.001)

    def advance(self, seconds: float = 0.0, **units: float) -> datetime:
        """Advance by ``seconds`` and any other units of `timedelta`; return the new time."""
        step = timedelta(seconds=seconds, **units)
        with self._moved:
            self._now += step
            self._steady += step.total_seconds()
            self._moved.notify_all()
            return self._now

    def set(self, moment: datetime) -> datetime:
        """Set the wall clock to ``moment``; the steady clock follows, but only forward."""
        moment = aware_utc(moment, "VirtualClock.set(moment)")
        with self._moved:
            self._steady += max(0.0, (moment - self._now).total_seconds())
            self._now = moment
            self._moved.notify_all()
            return self._now

    def step(self, seconds: float) -> datetime:
        """Move the wall clock by ``seconds``, forward or back, but not the steady clock."""
        with self._moved:
            self._now += timedelta(seconds=seconds)
            self._moved.notify_all()
            return self._now


def aware_utc(value: datetime, what: str) -> datetime:
    """Return the same instant in UTC, as a plain datetime.

    Args:
        value: an aware datetime in any time zone, or an instance of a subclass (pandas, freezegun).
            What UTC puts beyond the years 1 to 9999 becomes their first or last instant.
        what: the name of the value in the error message.

    Raises:
        NaiveDatetimeError: ``value`` has no time zone.
    """
    if value.tzinfo is None or value.utcoffset() is None:
        raise NaiveDatetimeError(value, what)
    try:
        moment = value.astimezone(UTC)
    except (OverflowError, ValueError):
        # datetime.max west of Greenwich, or datetime.min east of it
        return _MIN if value.year < 5000 else _MAX
    if type(moment) in _PLAIN:
        return moment
    return _PLAIN[0](
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second,
        moment.microsecond, UTC,
    )  # fmt: skip
