"""Draws from the seed which faults a world has and when they strike."""

from __future__ import annotations

import random
from collections import Counter
from typing import Literal

Boundary = Literal["begin", "write", "commit", "end"]
Fault = Literal[
    "crash before commit", "crash after commit", "lost commit", "lost acknowledgement",
    "pause", "pause after commit", "no connection", "crash", "freeze", "stop", "outage",
    "partition", "clock step", "blackout", "stall", "race",
]  # fmt: skip

AT_BEGIN: dict[Fault, float] = {"pause": 0.005, "no connection": 0.004, "crash": 0.002}
"""Probability of each fault when a transaction begins."""

AT_WRITE: dict[Fault, float] = {"race": 0.08}
"""Probability of each fault when a transaction that writes begins."""

AT_COMMIT: dict[Fault, float] = {
    "crash before commit": 0.006, "crash after commit": 0.006, "lost commit": 0.006,
    "lost acknowledgement": 0.006, "pause after commit": 0.004,
}  # fmt: skip
"""Probability of each fault when a transaction commits."""

AT_END: dict[Fault, float] = {"stall": 0.25}
"""Probability of each fault when a function ends."""

PER_SECOND: dict[Fault, float] = {
    "freeze": 0.04, "stop": 0.02, "outage": 0.006, "partition": 0.012, "clock step": 0.02,
    "blackout": 0.002,
}  # fmt: skip
"""Probability of each fault in one virtual second."""

BOUNDARIES = {"begin": AT_BEGIN, "write": AT_WRITE, "commit": AT_COMMIT, "end": AT_END}
INTENSITIES = (0.0, 0.0, 0.5, 1.0, 1.0, 3.0)


class FaultInjector:
    """The faults of one world, in which each kind is absent, rare or frequent.

    Args:
        rng: a source of its own, so that faults do not change what the world's client does.
        scale: factor on all probabilities; 0 for a world without faults.

    Attributes:
        counts: the number of faults of each kind so far.
        active: whether faults still strike.
    """

    def __init__(self, rng: random.Random, scale: float = 1.0) -> None:
        self.rng = rng
        self.counts: Counter[str] = Counter()
        self.active = True
        self._probabilities = {
            name: probability * rng.choice(INTENSITIES) * scale
            for group in (*BOUNDARIES.values(), PER_SECOND)
            for name, probability in group.items()
        }

    def at(self, boundary: Boundary) -> Fault | None:
        """Return the fault that strikes at this point of a transaction or function, if any."""
        return self._draw(BOUNDARIES[boundary], 1.0)

    def during(self, seconds: float) -> Fault | None:
        """Return the fault that strikes within these virtual seconds, if any."""
        return self._draw(PER_SECOND, seconds)

    def _draw(self, group: dict[Fault, float], factor: float) -> Fault | None:
        if not self.active:
            return None
        drawn = self.rng.random()
        for name in group:
            drawn -= self._probabilities[name] * factor
            if drawn < 0:
                self.counts[name] += 1
                return name
        return None
