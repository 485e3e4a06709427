"""Estimate the clock of the database server, which all workers follow."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from duly.clock import Clock

log = logging.getLogger("duly.worker")
STEP = timedelta(seconds=2)
"""A clock that differs this much from the expected time was set, or was read wrongly."""

APART = 1.0
"""Seconds between two readings that can confirm each other."""

WITNESSES = 2
"""The number of further readings that must confirm a change of the clock."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The time that a clock showed when the steady clock showed ``steady``."""

    moment: datetime
    steady: float

    def at(self, steady: float) -> datetime:
        """Return the time that it shows at another instant, unless it is set in between."""
        return self.moment + timedelta(seconds=steady - self.steady)


class ServerTime:
    """The present instant that all workers of one database agree on.

    Every reading of the server's clock is tied to this process's steady clock, so a jump of the
    machine's wall clock between two readings has no effect. Without a reading (on SQLite, whose
    workers share the machine's clock, or with a virtual clock) it is the process's own clock.

    A reading slightly behind the last answer does not turn time back: `now` stays the same until
    the reading catches up. A reading more than `STEP` away is not trusted at once: the time
    continues by the steady clock, and `settled` is false, until `WITNESSES` further readings
    confirm the change. Then all workers follow the new time.

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
        """Whether the clock shows the expected time; while it does not, nothing may fire."""
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

    def measure(self, query: Callable[[], datetime]) -> None:
        """Read the server's clock, and add half of the round trip to its answer.

        Args:
            query: queries the server for its time.
        """
        before = self._clock.monotonic()
        answer = query()
        after = self._clock.monotonic()
        trip = timedelta(seconds=after - before)
        with self._lock:
            first, self._measured = not self._measured, True
            if first:
                self._believed = self._odd = None
            if first or trip <= STEP:  # a slow answer is too imprecise
                self._take(Reading(answer + trip / 2, after))

    def steps(self) -> list[timedelta]:
        """Return the changes of the clock since the last call."""
        with self._lock:
            steps, self._steps = self._steps, []
            return steps

    def _take(self, reading: Reading) -> None:
        believed, odd = self._believed, self._odd
        if believed is None or _agree(believed, reading):
            self._believed, self._odd = reading, None
        elif odd is None or not _agree(odd, reading):
            log.warning(
                "Clock differs from the expected time by %s; firing is suspended until the change "
                "is confirmed.", _gap(believed, reading),
            )  # fmt: skip
            self._odd, self._witnesses = reading, 0
        elif reading.steady - odd.steady >= APART:
            self._odd = reading
            self._witnesses += 1
            if self._witnesses >= WITNESSES:
                log.warning("Clock was set by %s; firing resumes.", _gap(believed, reading))
                self._steps.append(_gap(believed, reading))
                self._believed, self._odd = reading, None


def _gap(expected: Reading, reading: Reading) -> timedelta:
    return reading.moment - expected.at(reading.steady)


def _agree(expected: Reading, reading: Reading) -> bool:
    return abs(_gap(expected, reading)) <= STEP
