"""A world for worker tests: schedulers on one database, stepped by hand on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from duly import Scheduler, VirtualClock
from duly.model.run import RunRecord


class World:
    """One database, one clock, any number of workers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = VirtualClock()
        self._made: list[Scheduler] = []

    def scheduler(self, **options: Any) -> Scheduler:
        """Return another worker on the same database."""
        made = Scheduler(self.url, clock=self.clock, **options)
        self._made.append(made)
        return made

    def forward(self, scheduler: Scheduler, seconds: float) -> None:
        """Let time pass and take one step."""
        self.clock.advance(seconds)
        scheduler.tick()

    def close(self) -> None:
        """Stop every worker."""
        for made in self._made:
            made.stop(grace=0)
            made.store.dispose()


@pytest.fixture
def world(prepared_database_url: str) -> Iterator[World]:
    """A fresh world on each database."""
    made = World(prepared_database_url)
    yield made
    made.close()


def step(scheduler: Scheduler) -> None:
    """Take one step without waiting for the runs that it starts."""
    scheduler.tick(wait=False)


def states(runs: list[RunRecord]) -> list[str]:
    """Return the states of runs, oldest first."""
    return [run.state for run in reversed(runs)]
