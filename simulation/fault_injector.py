"""Which faults a world has, and when they strike: all drawn from its seed."""

from __future__ import annotations

import random
from collections import Counter
from typing import Literal

Boundary = Literal["begin", "commit", "end"]
Fault = Literal[
    "crash before commit", "crash after commit", "lost commit", "lost acknowledgement",
    "pause", "pause after commit", "no connection", "crash", "freeze", "stop", "outage",
    "partition", "clock step", "blackout", "stall",
]  # fmt: skip

AT_BEGIN: dict[Fault, float] = {"pause": 0.005, "no connection": 0.004, "crash": 0.002}
AT_COMMIT: dict[Fault, float] = {
    "crash before commit": 0.006, "crash after commit": 0.006, "lost commit": 0.006,
    "lost acknowledgement": 0.006, "pause after commit": 0.004,
}  # fmt: skip
AT_END: dict[Fault, float] = {"stall": 0.08}
AT_TIMES: dict[Fault, float] = {
    "freeze": 0.04, "stop": 0.006, "outage": 0.006, "partition": 0.012, "clock step": 0.02,
    "blackout": 0.002,
}  # fmt: skip
"""Chance at each boundary of a transaction, at the end of a function, and each virtual second."""

BOUNDARIES = {"begin": AT_BEGIN, "commit": AT_COMMIT, "end": AT_END}
INTENSITIES = (0.0, 0.0, 0.5, 1.0, 1.0, 3.0)


class Faults:
    """The faults of one world: each kind is absent, rare or frequent in it.

    Args:
        rng: a source of its own, so that faults do not change what the world plans to do.
        scale: 0 for a world without faults.
    """

    def __init__(self, rng: random.Random, scale: float = 1.0) -> None:
        self.rng = rng
        self.counts: Counter[str] = Counter()
        self._armed = True
        self._chances = {
            name: chance * rng.choice(INTENSITIES) * scale
            for group in (*BOUNDARIES.values(), AT_TIMES)
            for name, chance in group.items()
        }

    def disarm(self) -> None:
        """No more faults: the world heals."""
        self._armed = False

    @property
    def armed(self) -> bool:
        """Whether faults still strike."""
        return self._armed

    def at(self, boundary: Boundary) -> Fault | None:
        """What strikes at this boundary of a transaction, or function, if anything."""
        return self._draw(BOUNDARIES[boundary], 1.0)

    def during(self, seconds: float) -> Fault | None:
        """What strikes in a stretch of time, if anything."""
        return self._draw(AT_TIMES, seconds)

    def _draw(self, group: dict[Fault, float], factor: float) -> Fault | None:
        if not self._armed:
            return None
        drawn = self.rng.random()
        for name in group:
            drawn -= self._chances[name] * factor
            if drawn < 0:
                self.counts[name] += 1
                return name
        return None
