"""The tasks and jobs of an experiment: every policy, and a trace of every execution."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, create_engine, insert, make_url
from sqlalchemy.orm import Session

from duly import CatchUp, Retry, Run, Scheduler, every, prepare_engine
from duly.worker import execution
from tests.chaos.audit_log import booking, effect
from tests.chaos.journal import Journal

RETRY = Retry(attempts=50, wait=0.3, factor=1.5, max_wait=3)
EACH = CatchUp("all", limit=10_000)
TASKS = {"step", "awaited", "call", "book"}


class Flaky(Exception):
    """Raised by one execution in 25; its message contains the token."""


class Claimed(Run):
    """A run with the token of its claim, which tells one execution of it from another."""

    def __init__(self, facts: Any, *others: Any, **named: Any) -> None:
        super().__init__(facts, *others, **named)
        self.token: int = facts.token


class Tasks:
    """The tasks and jobs, declared on one scheduler.

    Args:
        scheduler: the scheduler that declares them.
        url: the database to which the functions write on their own.
        journal: records the start and end of each execution; ``None`` where nothing is executed.
    """

    def __init__(self, scheduler: Scheduler, url: str, journal: Journal | None) -> None:
        self._journal = journal
        self._engine = _engine(url)
        self._declare(scheduler)

    def _declare(self, scheduler: Scheduler) -> None:
        step = scheduler.task(name="step", retry=RETRY)(self.step)
        awaited = scheduler.task(name="awaited", retry=RETRY)(self.awaited)
        self.call = scheduler.task(name="call", retry=RETRY)(self.called)
        book = scheduler.task(name="book", retry=RETRY, transactional=True)(self.book)
        second = every(seconds=1)
        for name, task, options in (
            ("each-1", step, {"overlap": "allow", "max_running": 1000, "catch_up": EACH}),
            ("each-2", step, {"overlap": "allow", "max_running": 1000, "catch_up": EACH}),
            ("latest-1", step, {"overlap": "allow", "max_running": 1000}),
            ("latest-2", step, {"overlap": "allow", "max_running": 1000}),
            ("alone-1", step, {"overlap": "skip"}),
            ("alone-2", step, {"overlap": "skip"}),
            ("queue-1", step, {"overlap": "queue"}),
            ("awaited-1", awaited, {"overlap": "allow", "max_running": 1000, "catch_up": EACH}),
            ("book-1", book, {"overlap": "allow", "max_running": 1000, "catch_up": EACH}),
            ("book-2", book, {"overlap": "allow", "max_running": 1000}),
        ):
            declare: Callable[[Any], Any] = scheduler.job(second, id=name, **options)
            declare(task)

    def step(self, run: Run) -> dict[str, int]:
        """Take a while, and write an effect in the middle."""
        return self._take(run, pause)

    def called(self, run: Run, n: int) -> dict[str, int]:
        """Do for an enqueued call what `step` does for a job."""
        return self._take(run, pause)

    async def awaited(self, run: Run) -> dict[str, int]:
        """Do as a coroutine what `step` does as a function."""
        token, seconds = self._begin(run)
        await asyncio.sleep(seconds / 2)
        await asyncio.to_thread(self._write_effect, run, token)
        await asyncio.sleep(seconds / 2)
        return self._end(run, token)

    def book(self, run: Run, session: Session) -> dict[str, int]:
        """Write, in the run's transaction, what must exist exactly once if the run succeeds."""
        token, seconds = self._begin(run)
        if self._engine.dialect.name == "sqlite":  # it holds the write lock
            seconds = min(seconds, 0.1)
        pause(seconds / 2)
        session.execute(insert(booking).values(run_id=run.id, token=token))
        pause(seconds / 2)
        return self._end(run, token)

    def _take(self, run: Run, wait: Callable[[float], None]) -> dict[str, int]:
        token, seconds = self._begin(run)
        wait(seconds / 2)
        self._write_effect(run, token)
        wait(seconds / 2)
        return self._end(run, token)

    def _begin(self, run: Run) -> tuple[int, float]:
        token = run.token  # type: ignore[attr-defined]
        self._note("start", run, token)
        rng = random.Random(f"{run.id}/{token}")
        low, high = rng.choices([(0.01, 0.1), (0.2, 1.0), (2.0, 3.0)], [70, 25, 5])[0]
        return token, rng.uniform(low, high)

    def _write_effect(self, run: Run, token: int) -> None:
        with self._engine.begin() as conn:
            conn.execute(insert(effect).values(run_id=run.id, attempt=run.attempt, token=token))

    def _end(self, run: Run, token: int) -> dict[str, int]:
        self._note("end", run, token)
        if random.Random(f"{run.id}/{token}/end").random() < 0.04:
            raise Flaky(f"token={token}")
        return {"token": token}

    def _note(self, what: str, run: Run, token: int) -> None:
        if self._journal is not None:
            self._journal.note(what, run.id, token)


def show_tokens() -> None:
    """Make every run that this process executes a `Claimed`."""
    names = vars(execution)
    assert names["Run"] is Run
    names["Run"] = Claimed


def pause(seconds: float) -> None:
    """Wait without `time.sleep`, which libfaketime does not support."""
    threading.Event().wait(seconds)


def _engine(url: str) -> Engine:
    limits: dict[str, Any] = {} if make_url(url).drivername == "sqlite" else {"connect_timeout": 5}
    return prepare_engine(create_engine(url, pool_pre_ping=True, connect_args=limits))
