"""What a world consists of: its database, its processes, its clock and its log."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from duly.context import Run
from duly.executors.base import Work
from simulation import executor
from simulation.client import Client
from simulation.database import SimulatedDatabase, SimulatedDialect
from simulation.executor import Call
from simulation.fault_injector import Faults
from simulation.process import Process, ProcessClock, SimulatedScheduler

STARTS = (
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 59, 20, tzinfo=UTC),  # Europe/Madrid springs forward at 01:00
    datetime(2026, 11, 1, 5, 59, 20, tzinfo=UTC),  # America/New_York falls back at 06:00
    datetime(2027, 2, 28, 23, 59, 10, tzinfo=UTC),
)


class Ground:
    """See the module; `World` makes things happen on it.

    Args:
        seed: everything is drawn from it.
        server: whether the database is a server with a clock and leases; else file locks.
        faults: how many faults, as a factor.

    Attributes:
        now: virtual seconds since the world began.
        step: counts what happens.
        actor: the number of the process at work; 0: the observer.
        calm: whether functions are short and succeed.
        calls: every execution of a function.
        troubles: what must not happen at all, whatever the faults.
    """

    def __init__(self, seed: int, *, server: bool, faults: float) -> None:
        self.rng = rng = random.Random(f"plan {seed}")
        self.server = server
        self.faults = Faults(random.Random(f"faults {seed}"), faults)
        self.now, self.step, self.actor = 0.0, 0, 0
        self.start = rng.choice(STARTS)
        self.log: list[str] = []
        self.calls: list[Call] = []
        self.troubles: list[str] = []
        self.calm = False
        self.depth = 0
        self.server_wrong_by = 0.0
        self.database = SimulatedDatabase(self)
        self._dialect = SimulatedDialect(self.database.engine, self._server_now, server)
        self.client = Client(random.Random(f"client {seed}"), self.note, self._runs_in)
        self.processes = [self._process(number) for number in range(1, rng.choice((2, 3, 3)) + 1)]

    def worker_ids(self) -> set[str]:
        """The ids under which living processes work now."""
        alive = [held.scheduler for held in self.processes if held.scheduler is not None]
        return {scheduler.engine.lease.worker_id for scheduler in alive}

    def close(self) -> None:
        """Forget everything."""
        for process in self.processes:
            process.die(0)
        self.database.close()

    def begin(self) -> None:
        """See `Fates.begin`."""
        raise NotImplementedError

    def commit(self, commit: Callable[[], None]) -> None:
        """See `Fates.commit`."""
        raise NotImplementedError

    def note(self, what: str) -> None:
        """A line of the world's log."""
        who = f"p{self.actor}" if self.actor else "--"
        self.log.append(f"{self.now:8.2f} {'  ' * self.depth}{who} {what}")

    @contextmanager
    def _as(self, process: Process) -> Iterator[None]:
        before, self.actor = self.actor, process.number
        self.step += 1
        try:
            yield
        finally:
            self.actor = before

    def _process(self, number: int) -> Process:
        clock = ProcessClock(self.start, lambda: self.now)
        return Process(number, self._scheduler, clock, self._begin_call, lambda: self.now)

    def _scheduler(self, process: Process) -> SimulatedScheduler:
        made = SimulatedScheduler(self.database, self._dialect, process.clock, process.executors)

        @made.task()
        def plain(n: int, run: Run) -> dict[str, int]:
            return process.current_call().result()

        @made.task()
        async def coroutine(n: int, run: Run) -> dict[str, int]:
            return process.current_call().result()

        @made.task(transactional=True)
        def charge(n: int, run: Run, session: Session) -> dict[str, int]:
            statement = "insert into sim_charge values (:run, :n)"
            session.execute(text(statement), {"run": run.id, "n": n})
            return process.current_call().result()

        return made

    def _begin_call(self, process: Process, work: Work) -> Call:
        seconds, ends, polite = executor.draw(self.rng, calm=self.calm)
        number = len(self.calls) + 1
        self.step += 1
        made = Call(
            number, process.number, work.run.id, self.step, self.now + seconds, ends, polite
        )
        self.calls.append(made)
        self.note(f"executes {number}: {work.run.id}, {seconds} s, {ends}")
        return made

    def _server_now(self) -> datetime:
        return self.start + timedelta(seconds=self.now + self.server_wrong_by)

    def _runs_in(self, state: str) -> list[str]:
        """As the observer: the newest runs in a state."""
        actor, self.actor = self.actor, 0
        with self.database.engine.connect() as conn:
            statement = "select id from duly_run where state = :state order by id desc limit 5"
            found = list(conn.execute(text(statement), {"state": state}).scalars())
        self.actor = actor
        return found
