"""The parts of a world: its database, its processes, its clock and its log."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from duly.context import Run
from duly.executors.base import Invocation
from duly.model.policy import QUARANTINE_AFTER
from duly.model.run import RUN_STATES
from simulation.client import Client
from simulation.database import SimulatedDatabase, SimulatedDialect
from simulation.executor import SECONDS, Execution, draw_execution
from simulation.fault_injector import FaultInjector
from simulation.process import Process
from simulation.scheduler import ProcessClock, SimulatedScheduler

STARTS = (
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 59, 20, tzinfo=UTC),  # Europe/Madrid springs forward at 01:00
    datetime(2026, 11, 1, 5, 59, 20, tzinfo=UTC),  # America/New_York falls back at 06:00
    datetime(2027, 2, 28, 23, 59, 10, tzinfo=UTC),
)
DEADLY = (0.0, 0.0, 0.15, 0.4)
"""Shares of runs that kill their processes; each world has one of these."""

DEATHS = QUARANTINE_AFTER
"""The number of processes that such a run kills before it ends as others do."""

RUNS = {state: f"state = '{state}'" for state in map(str, RUN_STATES)}
RUNS["waiting"] = "state = 'scheduled' and waits_for_slot"
RUNS["next"] = f"id in (select min(id) from duly_run where {RUNS['waiting']} group by job_uid)"  # noqa: S608
RUNS["keyed"] = "state = 'failed' and unique_scope = 'until_done'"
"""Conditions on the runs that a command needs, by name: most are states."""


class Environment:
    """The parts of a world; `World` makes things happen in it.

    Args:
        seed: everything is drawn from it.
        server: whether the database is a server with a clock and leases, or else a file with locks.
        faults: factor on the number of faults.

    Attributes:
        now: virtual seconds since the world began.
        step: the number of things that have happened.
        actor: the number of the process at work; 0 for the observer.
        healed: whether faults have ended, so that functions are short and succeed.
        deadly: the share of runs that kill their processes.
        deaths: how often each of these runs has been executed.
        depth: the number of pauses that are nested in each other now.
        executions: every execution of a function.
        errors: what must not happen at all, whatever the faults.
    """

    def __init__(self, seed: int, *, server: bool, faults: float) -> None:
        self.rng = rng = random.Random(f"plan {seed}")
        self.server = server
        self.faults = FaultInjector(random.Random(f"faults {seed}"), faults)
        self.now, self.step, self.actor = 0.0, 0, 0
        self.start = rng.choice(STARTS)
        self.log: list[str] = []
        self.executions: list[Execution] = []
        self.errors: list[str] = []
        self.healed = False
        self.deadly, self.deaths = rng.choice(DEADLY) * faults, Counter[str]()
        self.depth = 0
        self.server_clock_error = 0.0
        self.database = SimulatedDatabase(self)
        self._dialect = SimulatedDialect(self.database.engine, self._server_now, server)
        self.client = Client(
            random.Random(f"client {seed}"), self.note, self._runs_in, self._stored_jobs
        )
        self.processes = [self._process(number) for number in range(1, rng.choice((2, 3, 3)) + 1)]

    def worker_ids(self) -> set[str]:
        """Return the ids of the workers whose processes are alive."""
        schedulers = [process.scheduler for process in self.processes]
        ids = {scheduler.worker_id for scheduler in schedulers if scheduler is not None}
        return {worker_id for worker_id in ids if worker_id is not None}

    def close(self) -> None:
        """End all processes and delete the database."""
        for process in self.processes:
            process.die(0)
        self.database.close()

    def begin(self, *, read_only: bool) -> None:
        """See `TransactionHooks.begin`."""
        raise NotImplementedError

    def commit(self, commit: Callable[[], None]) -> None:
        """See `TransactionHooks.commit`."""
        raise NotImplementedError

    def note(self, event: str) -> None:
        """Append a line to the world's log."""
        actor = f"p{self.actor}" if self.actor else "--"
        self.log.append(f"{self.now:8.2f} {'  ' * self.depth}{actor} {event}")

    @contextmanager
    def _acting_as(self, process: Process) -> Iterator[None]:
        before, self.actor = self.actor, process.number
        self.step += 1
        try:
            yield
        finally:
            self.actor = before

    def _process(self, number: int) -> Process:
        clock = ProcessClock(self.start, lambda: self.now)
        return Process(number, self._scheduler, clock, self._begin_execution, lambda: self.now)

    def _scheduler(self, process: Process) -> SimulatedScheduler:
        scheduler = SimulatedScheduler(
            self.database, self._dialect, process.clock, process.executors
        )

        @scheduler.task()
        def plain(n: int, run: Run) -> dict[str, int] | None:
            return process.current_execution().result()

        @scheduler.task()
        async def coroutine(n: int, run: Run) -> dict[str, int] | None:
            return process.current_execution().result()

        @scheduler.task()
        def flawed(n: int, run: Run) -> dict[str, int] | None:
            if not self.healed:
                raise RuntimeError("failed, as always")
            return process.current_execution().result()

        @scheduler.task(transactional=True)
        def charge(n: int, run: Run, session: Session) -> dict[str, int] | None:
            statement = "insert into sim_charge values (:run, :n)"
            session.execute(text(statement), {"run": run.id, "n": n})
            return process.current_execution().result()

        return scheduler

    def _begin_execution(self, process: Process, invocation: Invocation) -> Execution:
        seconds, outcome, cooperative = draw_execution(self.rng, healed=self.healed)
        if self._is_deadly(invocation.run.id):
            seconds, outcome = self.rng.choice(SECONDS[:4]), "crash"
        self.step += 1
        execution = Execution(
            len(self.executions) + 1, process.number, invocation.run.id, self.step,
            self.now, self.now + seconds, outcome, cooperative,
        )  # fmt: skip
        self.executions.append(execution)
        self.note(f"executes {execution.number}: run {invocation.run.id}, {seconds} s, {outcome}")
        return execution

    def _is_deadly(self, run_id: str) -> bool:
        """Return whether the run that begins now kills the process that executes it."""
        if self.healed or random.Random(run_id).random() >= self.deadly:
            return False
        self.deaths[run_id] += 1
        return self.deaths[run_id] <= DEATHS

    def _server_now(self) -> datetime:
        return self.start + timedelta(seconds=self.now + self.server_clock_error)

    def _runs_in(self, state: str) -> list[str]:
        """Return the newest runs that meet a condition of `RUNS`, as the observer sees them."""
        condition = RUNS[state]
        statement = f"select id from duly_run where {condition} order by id desc limit 5"  # noqa: S608
        return self._observe(statement)

    def _stored_jobs(self) -> set[str]:
        return set(self._observe("select id from duly_job"))

    def _observe(self, statement: str) -> list[str]:
        actor, self.actor = self.actor, 0
        with self.database.engine.connect() as conn:
            ids = list(conn.execute(text(statement)).scalars())
        self.actor = actor
        return ids
