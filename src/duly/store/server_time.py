"""The database's clock, as far as this process knows it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from duly.clock import Clock

log = logging.getLogger("duly.worker")
STEP = timedelta(seconds=2)
"""A clock that is so far from where the steady clock expects it has been set, or was read badly."""

APART = 1.0
"""Seconds between two readings that can bear each other out."""

WITNESSES = 2
"""How many further readings must bear out a step before it is believed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a clock showed when the steady clock showed ``steady``."""

    moment: datetime
    steady: float

    def at(self, steady: float) -> datetime:
        """What it shows at another instant, unless somebody sets it."""
        return self.moment + timedelta(seconds=steady - self.steady)


class ServerTime:
    """The present instant that all workers of one database agree on.

    Every reading of the server's clock is tied to this process's steady clock, so a jump of the
    machine's wall clock between two readings changes nothing. Without a reading (SQLite, whose
    workers share the machine's clock, or a virtual clock) it is the process's own clock.

    A reading a little behind the last answer does not turn time back: time stands until the
    reading is true. One that is more than two seconds off is not believed at once: time goes on by
    the steady clock, and `settled` is false, until two further readings have borne it out. Then
    the clock has been set, and all workers follow it.

    Args:
        clock: this process's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._measured = False
        self._believed: Reading | None = None
        self._odd: Reading | None = None
        self._witnesses = 0
        self._latest: datetime | None = None
        self._steps: list[timedelta] = []

    @property
    def settled(self) -> bool:
        """Whether the clock goes as it should; while it does not, nothing may fire."""
        self.now()
        return self._odd is None

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        with self._lock:
            steady = self._clock.monotonic()
            own = Reading(self._clock.now(), steady)
            if not self._measured:
                self._take(own)
            estimate = (self._believed or own).at(steady)
            latest = self._latest
            if latest is not None and estimate < latest < estimate + STEP:
                return latest
            self._latest = estimate
            return estimate

    def measure(self, ask: Callable[[], datetime]) -> None:
        """Take a reading; half the question's round trip is added to the answer.

        Args:
            ask: asks the server.
        """
        before = self._clock.monotonic()
        answer = ask()
        after = self._clock.monotonic()
        trip = timedelta(seconds=after - before)
        with self._lock:
            first, self._measured = not self._measured, True
            if first:
                self._believed = self._odd = None
            if first or trip <= STEP:  # a slow answer tells too little
                self._take(Reading(answer + trip / 2, after))

    def steps(self) -> list[timedelta]:
        """By how much the clock was set, each time since the last call."""
        with self._lock:
            steps, self._steps = self._steps, []
            return steps

    def _take(self, reading: Reading) -> None:
        believed, odd = self._believed, self._odd
        if believed is None or _agree(believed, reading):
            self._believed, self._odd = reading, None
        elif odd is None or not _agree(odd, reading):
            log.warning(
                "the clock is off by %s; nothing fires until that is sure", _gap(believed, reading)
            )
            self._odd, self._witnesses = reading, 0
        elif reading.steady - odd.steady >= APART:
            self._odd = reading
            self._witnesses += 1
            if self._witnesses >= WITNESSES:
                log.warning("the clock was set by %s", _gap(believed, reading))
                self._steps.append(_gap(believed, reading))
                self._believed, self._odd = reading, None


def _gap(expected: Reading, reading: Reading) -> timedelta:
    return reading.moment - expected.at(reading.steady)


def _agree(expected: Reading, reading: Reading) -> bool:
    return abs(_gap(expected, reading)) <= STEP
