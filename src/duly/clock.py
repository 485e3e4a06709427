"""The one source of time. Nothing else in Duly reads a clock or sleeps."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from duly.errors import NaiveDatetimeError

_steady = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """What Duly asks of time.

    Attributes:
        follows_database: whether a server database's clock, where there is one, corrects ``now``.
    """

    follows_database: bool

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a steady clock that no wall-clock change moves."""

    def wait(self, wake: threading.Event, timeout: float) -> bool:
        """Wait until ``wake`` is set or ``timeout`` seconds are over; says whether it was set."""

    def pause(self, seconds: float) -> None:
        """Get out of the way of other processes for so many seconds."""


class SystemClock:
    """The machine's own clock."""

    follows_database = True

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `Clock.monotonic`; it goes on while the machine is suspended, where Linux allows."""
        return time.monotonic() if _steady is None else time.clock_gettime(_steady)

    def wait(self, wake: threading.Event, timeout: float) -> bool:
        """See `Clock.wait`."""
        return wake.wait(max(0.0, timeout))

    def pause(self, seconds: float) -> None:
        """See `Clock.pause`."""
        time.sleep(seconds)


class VirtualClock:
    """A clock that moves only when told to: for tests and simulations.

    Args:
        start: the first instant; default 2026-01-01T00:00:00Z.

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
        """Wait until ``wake`` is set or somebody has moved this clock on by ``timeout`` seconds."""
        with self._moved:
            end = self._steady + timeout
            while not wake.is_set() and self._steady < end:
                self._moved.wait(0.01)
        return wake.is_set()

    def pause(self, seconds: float) -> None:
        """Let others go on for a millisecond; no time passes here, so there is none to wait for."""
        time.sleep(0.001)

    def advance(self, seconds: float = 0.0, **units: float) -> datetime:
        """Move on by ``seconds`` and any other `timedelta` units; returns the new instant."""
        step = timedelta(seconds=seconds, **units)
        with self._moved:
            self._now += step
            self._steady += step.total_seconds()
            self._moved.notify_all()
            return self._now

    def set(self, moment: datetime) -> datetime:
        """Jump to ``moment`` as a wall clock does when it is set; the steady clock only goes on."""
        moment = aware_utc(moment, "VirtualClock.set(moment)")
        with self._moved:
            self._steady += max(0.0, (moment - self._now).total_seconds())
            self._now = moment
            self._moved.notify_all()
            return self._now

    def step(self, seconds: float) -> datetime:
        """Set the wall clock on or back, which the steady clock does not notice."""
        with self._moved:
            self._now += timedelta(seconds=seconds)
            self._moved.notify_all()
            return self._now


def aware_utc(value: datetime, what: str) -> datetime:
    """The same instant in UTC.

    Args:
        value: an aware datetime in any zone.
        what: how to name the value in the error.

    Raises:
        NaiveDatetimeError: ``value`` has no time zone.
    """
    if value.tzinfo is None or value.utcoffset() is None:
        raise NaiveDatetimeError(value, what)
    return value.astimezone(UTC)
