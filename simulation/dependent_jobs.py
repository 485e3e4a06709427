"""A client's commands about jobs that run after others, and about what retention does to those."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta

from duly.errors import DependencyError
from duly.triggers import at
from simulation.expectations import Expectations, JobState
from simulation.scheduler import SimulatedScheduler

PARENTS = ("p", "q")
CHILD = "z"


class DependentJobs:
    """Stores jobs that fire once, and a job that runs after them; prunes finished ones.

    Args:
        rng: the source of the commands.
        log: called with a line for each command.
        expectations: what the client knows of its other jobs.
        stored: returns which jobs are stored.
    """

    def __init__(
        self,
        rng: random.Random,
        log: Callable[[str], None],
        expectations: Expectations,
        stored: Callable[[], set[str]],
    ) -> None:
        self._rng = rng
        self._log = log
        self._expectations = expectations
        self._stored = stored

    def add_parent(self, scheduler: SimulatedScheduler) -> None:
        """Add a job that fires once, or let it fire once more."""
        self._add_parent(scheduler, self._rng.choice(PARENTS))

    def begin(self, scheduler: SimulatedScheduler) -> None:
        """Add all of them."""
        for job_id in PARENTS:
            self._add_parent(scheduler, job_id)
        self.add_child(scheduler)

    def _add_parent(self, scheduler: SimulatedScheduler, job_id: str) -> None:
        wait = self._rng.choice((-1, 1, 4))
        self._log(f"add {job_id}, due in {wait} s")
        moment = scheduler.store.time.now() + timedelta(seconds=wait)
        scheduler.add("plain", at(moment), id=job_id, args={"n": 0}, replace=True)

    def add_child(self, scheduler: SimulatedScheduler) -> None:
        """Add the job that runs after the others, if these are stored."""
        parents = self._rng.choice((PARENTS, PARENTS, PARENTS[:1]))
        self._log(f"add {CHILD} after {parents}")
        try:
            scheduler.add(
                "plain", after=parents, on="always", id=CHILD, args={"n": 0}, replace=True
            )
        except DependencyError:
            self._log("there is no such job")

    def prune(self, scheduler: SimulatedScheduler, others: Sequence[str]) -> None:
        """Delete jobs that have finished, as retention does after a long time.

        Args:
            scheduler: the scheduler.
            others: the client's other jobs, some of which may have finished.
        """
        self._log("prune finished jobs")
        with ExitStack() as stack:
            requests = [
                stack.enter_context(self._expectations.requesting(name, JobState.after_remove))
                for name in others
            ]
            scheduler.prune_jobs()
            stored = self._stored()
            for request in requests:
                if request.job_id in stored:
                    self._expectations.observe(request, exists=True)
                elif any(state.exists for state in request.before):
                    self._expectations.acknowledge(request)
                else:
                    self._expectations.refuse(request)
