"""What applications and people do to the world's schedulers, drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from duly.errors import DatabaseUnavailable, DuplicateJob, JobNotFound, OverlapError, StateError
from duly.scheduler import Scheduler
from duly.triggers import Trigger, at, cron, every
from simulation.database import away
from simulation.expectations import Book, Known

TASKS = ("plain", "plain", "coroutine", "charge")
QUEUES = ("default", "default", "side")
JOBS = ("a", "b", "c", "d", "e")
DOMAIN = (OverlapError, StateError)
"""Refusals that a command may meet in any state of the world."""


class Client:
    """Commands, and what they answered.

    Args:
        rng: of the world's plan.
        log: where each command is noted.
        runs: gives the ids of runs in some states, for commands that need one.
    """

    def __init__(
        self, rng: random.Random, log: Callable[[str], None], runs: Callable[[str], list[str]]
    ) -> None:
        self._rng = rng
        self._log = log
        self._runs = runs
        self.book = Book()
        self._count = 0
        self._commands = (
            *[self.add] * 3, self.edit, self.pause, self.resume, self.resume, self.remove,
            *[self.enqueue] * 4, self.enqueue_in_transaction, self.enqueue_in_transaction,
            self.run_now, self.cancel, self.retry, self.discard, self.switch,
        )  # fmt: skip

    def begin(self, scheduler: Scheduler) -> None:
        """Some jobs to begin with."""
        for _job in range(3):
            with suppress(DatabaseUnavailable, *DOMAIN):
                self.add(scheduler)

    def act(self, scheduler: Scheduler) -> None:
        """One command, drawn; database errors and a crash in its midst leave it in doubt."""
        with suppress(DatabaseUnavailable, *DOMAIN):
            self._rng.choice(self._commands)(scheduler)

    def pause_before_next(self) -> float:
        """Seconds until the next command."""
        return self._rng.choice((0.0, 0.2, 0.5, 2.0, 5.0, 10.0))

    def add(self, scheduler: Scheduler) -> None:
        """Add a job, or put another in its place."""
        job_id, n = self._rng.choice(JOBS), self._number()
        trigger, options = self._trigger(scheduler), self._options()
        again = self._rng.random() < 0.7
        self._log(f"add {job_id} n={n} {trigger} {options} replace={again}")

        def change(known: Known) -> Known:
            return known if known.exists and not again else known.added(n)

        def call() -> None:
            scheduler.add(
                self._rng.choice(TASKS), trigger, id=job_id, args={"n": n}, replace=again, **options
            )

        self._told(job_id, change, call)

    def edit(self, scheduler: Scheduler) -> None:
        """Change a job by hand: always its arguments, often its trigger or options."""
        job_id, n = self._rng.choice(JOBS), self._number()
        changes: dict[str, Any] = self._options() if self._rng.random() < 0.5 else {}
        changes.pop("queue", None)
        if self._rng.random() < 0.5:
            changes["trigger"] = self._trigger(scheduler)
        self._log(f"edit {job_id} n={n} {changes}")
        self._told(
            job_id, lambda known: known.edited(n),
            lambda: scheduler.edit(job_id, args={"n": n}, **changes),
        )  # fmt: skip

    def pause(self, scheduler: Scheduler) -> None:
        """Pause a job."""
        self._set_paused(scheduler.pause, True)

    def resume(self, scheduler: Scheduler) -> None:
        """Resume a job."""
        self._set_paused(scheduler.resume, False)

    def remove(self, scheduler: Scheduler) -> None:
        """Remove a job."""
        job_id = self._rng.choice(JOBS)
        self._log(f"remove {job_id}")
        self._told(job_id, Known.removed, lambda: scheduler.remove(job_id))

    def enqueue(self, scheduler: Scheduler) -> None:
        """Enqueue a call, sometimes with a unique key or a delay."""
        options: dict[str, Any] = {"queue": self._rng.choice(QUEUES)}
        if self._rng.random() < 0.5:
            options["unique_key"] = self._rng.choice("xyz")
            options["unique"] = self._rng.choice(("until_start", "until_done"))
        if self._rng.random() < 0.3:
            options["delay"] = self._rng.uniform(0, 10)
        options["priority"] = self._rng.choice((-1, 0, 0, 5))
        self._log(f"enqueue {options}")
        run_id = scheduler.enqueue(self._rng.choice(TASKS), args={"n": self._number()}, **options)
        self.book.runs.append(run_id)

    def enqueue_in_transaction(self, scheduler: Scheduler) -> None:
        """Write a row of the application's own and enqueue, in the application's transaction."""
        key = f"joined-{self._number()}"
        gives_up = self._rng.random() < 0.2
        self._log(f"enqueue in the application's transaction {key}, rolled back: {gives_up}")
        self.book.joined[key] = (None, None)
        run_id = ""
        scheduler.store.prepare()
        try:
            with scheduler.store.engine.connect() as conn, conn.begin() as transaction:
                run_id = scheduler.enqueue("plain", n=0, session=conn)
                self.book.joined[key] = (None, run_id)
                statement = "insert into sim_effect values (:key, :run)"
                conn.execute(text(statement), {"key": key, "run": run_id})
                if gives_up:
                    transaction.rollback()
        except type(away()) as error:
            raise DatabaseUnavailable(str(error)) from error
        self.book.joined[key] = (not gives_up, run_id)

    def run_now(self, scheduler: Scheduler) -> None:
        """Run a job outside its schedule."""
        job_id = self._rng.choice(JOBS)
        self._log(f"run {job_id} now")

        def unchanged(known: Known) -> Known | None:
            return known if known.exists else None

        def call() -> None:
            self.book.runs.append(scheduler.run_now(job_id).id)

        self._told(job_id, unchanged, call)

    def cancel(self, scheduler: Scheduler) -> None:
        """Cancel a run that is not over."""
        self._on_a_run("running", scheduler.cancel)

    def retry(self, scheduler: Scheduler) -> None:
        """Start a failed run again."""
        self._on_a_run("failed", scheduler.retry)

    def discard(self, scheduler: Scheduler) -> None:
        """Give up a failed run."""
        self._on_a_run("failed", lambda run_id: scheduler.discard(run_id, reason="not wanted"))

    def switch(self, scheduler: Scheduler) -> None:
        """Hold back a queue or stop everything; most often, let all go again."""
        what = self._rng.choice(("hold", "stop", "go", "go"))
        self._log(f"switch: {what}")
        if what == "hold":
            scheduler.pause_queue("side")
        elif what == "stop":
            scheduler.stop_all()
        else:
            self.let_go(scheduler)

    def let_go(self, scheduler: Scheduler) -> None:
        """Switch everything on."""
        scheduler.resume_queue("side")
        scheduler.start_all()

    def end_schedules(self, scheduler: Scheduler) -> None:
        """Pause every job: nothing new falls due."""
        for job_id in JOBS:
            self._set_paused(scheduler.pause, True, job_id)

    def _set_paused(
        self, command: Callable[[str], int], paused: bool, job_id: str | None = None
    ) -> None:
        job_id = job_id or self._rng.choice(JOBS)
        self._log(f"{'pause' if paused else 'resume'} {job_id}")

        def change(known: Known) -> Known | None:
            return known.set_paused(paused)

        with self.book.issue(job_id, change) as issued:
            try:
                if command(job_id):
                    self.book.acknowledged(issued)
                else:
                    self.book.found(issued, True)
            except JobNotFound:
                self.book.found(issued, False)

    def _told(
        self, job_id: str, change: Callable[[Known], Known | None], call: Callable[[], Any]
    ) -> None:
        with self.book.issue(job_id, change) as issued:
            try:
                call()
            except JobNotFound:
                self.book.found(issued, False)
            except DuplicateJob:
                self.book.found(issued, True)
            except DOMAIN:
                self.book.refused(issued)
                raise
            else:
                self.book.acknowledged(issued)

    def _on_a_run(self, state: str, command: Callable[[str], object]) -> None:
        found = self._runs(state)
        if found:
            run_id = self._rng.choice(found)
            self._log(f"{command.__name__.strip('<>')} {run_id}")
            command(run_id)

    def _number(self) -> int:
        self._count += 1
        return self._count

    def _trigger(self, scheduler: Scheduler) -> Trigger:
        now = scheduler.store.time.now()
        return self._rng.choice(
            (
                every(seconds=self._rng.choice((3, 5, 7, 20, 45))),
                cron(self._rng.choice(("*/10 * * * * *", "5,35 * * * * *", "* * * * *"))),
                cron("*/20 * * * * *", tz=self._rng.choice(("Europe/Madrid", "America/New_York"))),
                at(now + timedelta(seconds=self._rng.choice((-5, 2, 15)))),
            )
        )

    def _options(self) -> dict[str, Any]:
        choose = self._rng.choice
        drawn = {
            "overlap": choose(("skip", "skip", "queue", "allow", "cancel_running")),
            "max_running": choose((1, 1, 2)),
            "catch_up": {"mode": choose(("latest", "all", "none")), "limit": choose((2, 4))},
            "misfire_grace": choose((None, None, 3, 20)),
            "retry": choose((None, {"attempts": 3, "wait": 2, "max_wait": 5})),
            "timeout": choose((None, 2, 6)),
            "on_crash": choose(("retry", "retry", "fail")),
            "expires": choose((None, None, 6, 30)),
            "jitter": choose((0, 0, 2)),
            "max_fires": choose((None, None, None, 3)),
            "queue": choose(QUEUES),
        }  # fmt: skip
        return {name: value for name, value in drawn.items() if self._rng.random() < 0.5}
