"""A client's commands about limits: on a queue's rate, and on a concurrency key."""

from __future__ import annotations

import random
from collections.abc import Callable

from simulation.expectations import Expectations
from simulation.scheduler import SimulatedScheduler

KEY = "k"
"""A concurrency key whose runs run one at a time, or none of them, as in the healed world."""

METERED = "metered"
RATE, PER = 2, 10.0
"""Starts of the queue `METERED`, in this number of seconds."""


class LimitCommands:
    """Sets the limits of a world, and enqueues what is subject to them.

    Args:
        rng: the source of the commands.
        log: called with a line for each command.
        expectations: what the client knows.
    """

    def __init__(
        self, rng: random.Random, log: Callable[[str], None], expectations: Expectations
    ) -> None:
        self._rng = rng
        self._log = log
        self._expectations = expectations

    def meter(self, scheduler: SimulatedScheduler) -> None:
        """Set the limit of the metered queue, always the same, as applications do at each start."""
        self._log(f"limit the queue {METERED}")
        scheduler.set_queue(METERED, rate=RATE, per=PER)

    def burst(self, scheduler: SimulatedScheduler) -> None:
        """Enqueue several calls at once."""
        queue = self._rng.choice((METERED, METERED, "default"))
        key = self._rng.choice((None, None, KEY)) if queue != METERED else None
        calls = [{"n": 0}] * self._rng.choice((3, 6))
        self._log(f"enqueue {len(calls)} calls in the queue {queue} with the key {key}")
        ids = scheduler.enqueue_many("plain", calls, queue=queue, concurrency_key=key)
        self._expectations.runs += ids

    def block_key(self, scheduler: SimulatedScheduler) -> None:
        """Let no run with the concurrency key start."""
        self._log(f"no run with the key {KEY} may start")
        scheduler.set_limit(KEY, 0)

    def unblock_key(self, scheduler: SimulatedScheduler) -> None:
        """Let runs with the concurrency key start again."""
        self._log(f"runs with the key {KEY} may start")
        scheduler.remove_limit(KEY)
