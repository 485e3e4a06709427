"""A client of the world's schedulers, whose commands are drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import text

from duly.errors import DatabaseUnavailable, DuplicateJob, JobNotFound, OverlapError, StateError
from duly.scheduler import Scheduler
from duly.triggers import Trigger, at, cron, every
from simulation.database import connection_lost
from simulation.dependent_jobs import DependentJobs
from simulation.expectations import Change, Expectations, JobState
from simulation.limit_commands import KEY, METERED, LimitCommands
from simulation.scheduler import SimulatedScheduler

TASKS = ("plain", "plain", "coroutine", "charge")
QUEUES = ("default", "default", "side")
UNIQUE_KEYS = ("x", "y")
JOBS = ("a", "b", "c", "d", "e")
CROWDED = "crowded"
"""A job that fires more often than its runs end, so that some wait for its slot at any time."""

REFUSALS = (OverlapError, StateError)
"""Errors that may refuse a command in any state of the world."""


class Client:
    """Issues commands and tracks what it may expect after their answers.

    Args:
        rng: the source of the commands.
        log: called with a line for each command.
        runs: returns the ids of runs in a state, for commands that need one.
        jobs: returns the ids of all stored jobs.

    Attributes:
        expectations: what must be true, as far as the client can know.
        limits: its commands about limits.
    """

    def __init__(
        self,
        rng: random.Random,
        log: Callable[[str], None],
        runs: Callable[[str], list[str]],
        jobs: Callable[[], set[str]],
    ) -> None:
        self._rng = rng
        self._log = log
        self._runs = runs
        self.expectations = Expectations()
        self._count = 0
        self.limits = LimitCommands(rng, log, self.expectations)
        self._dependent = dependent = DependentJobs(rng, log, self.expectations, jobs)
        self._commands: tuple[Callable[[SimulatedScheduler], None], ...] = (
            *[self.add] * 3, self.edit, self.pause, self.resume, self.resume, self.remove,
            *[self.enqueue] * 4, self.enqueue_in_transaction, self.enqueue_in_transaction,
            self.run_now, *[self.cancel] * 2, *[self.retry] * 2, self.discard, self.switch,
            self.limits.meter, self.limits.meter, self.limits.burst, self.limits.burst,
            self.limits.block_key, self.limits.unblock_key, dependent.add_parent,
            dependent.add_child, lambda scheduler: dependent.prune(scheduler, JOBS),
        )  # fmt: skip
        self._racing: tuple[Callable[[SimulatedScheduler], None], ...] = (
            *[self.cancel] * 2, *[self.cancel_next] * 4, self.retry, self.enqueue, self.remove,
            self.limits.meter,
        )  # fmt: skip

    def begin(self, scheduler: SimulatedScheduler) -> None:
        """Add the first jobs."""
        for add in (*[self.add] * 3, self.crowd, self._dependent.begin):
            with suppress(DatabaseUnavailable, *REFUSALS):
                add(scheduler)

    def act(self, scheduler: SimulatedScheduler) -> None:
        """Issue one random command; a database error or a crash leaves its outcome unknown."""
        with suppress(DatabaseUnavailable, *REFUSALS):
            self._rng.choice(self._commands)(scheduler)

    def race(self, scheduler: SimulatedScheduler) -> None:
        """Issue a command at the same instant at which another process begins a transaction."""
        with suppress(DatabaseUnavailable, *REFUSALS):
            self._rng.choice(self._racing)(scheduler)

    def enqueue_late(self, scheduler: SimulatedScheduler) -> None:
        """Enqueue a call that may start at once, in a process that is about to stop."""
        with suppress(DatabaseUnavailable):
            self._log("enqueue in a process that stops")
            self.expectations.runs.append(scheduler.enqueue("plain", n=self._number()))

    def seconds_to_next(self) -> float:
        """Return the seconds until the next command."""
        return self._rng.choice((0.0, 0.2, 0.5, 2.0, 5.0, 10.0))

    def add(self, scheduler: Scheduler) -> None:
        """Add a job, or replace one."""
        job_id, n = self._rng.choice(JOBS), self._number()
        trigger, options = self._trigger(scheduler), self._options()
        replace = self._rng.random() < 0.7
        self._log(f"add {job_id} n={n} {trigger} {options} replace={replace}")

        def change(state: JobState) -> JobState:
            return state if state.exists and not replace else state.after_add(n)

        def call() -> None:
            scheduler.add(
                self._rng.choice(TASKS), trigger, id=job_id, args={"n": n}, replace=replace,
                **options,
            )  # fmt: skip

        self._request(job_id, change, call)

    def crowd(self, scheduler: Scheduler) -> None:
        """Add the job whose runs always wait."""
        n = self._number()
        self._log(f"add {CROWDED} n={n}")
        call = partial(
            scheduler.add, "plain", every(seconds=5), id=CROWDED, args={"n": n}, overlap="queue"
        )
        self._request(CROWDED, partial(JobState.after_add, n=n), call)

    def edit(self, scheduler: Scheduler) -> None:
        """Edit a job: always its arguments, often its trigger or options."""
        job_id, n = self._rng.choice(JOBS), self._number()
        changes: dict[str, Any] = self._options() if self._rng.random() < 0.5 else {}
        changes.pop("queue", None)
        if self._rng.random() < 0.5:
            changes["trigger"] = self._trigger(scheduler)
        self._log(f"edit {job_id} n={n} {changes}")
        call = partial(scheduler.edit, job_id, args={"n": n}, **changes)
        self._request(job_id, partial(JobState.after_edit, n=n), call)

    def pause(self, scheduler: Scheduler) -> None:
        """Pause a job."""
        self._set_paused(scheduler.pause, True, self._rng.choice(JOBS))

    def resume(self, scheduler: Scheduler) -> None:
        """Resume a job."""
        self._set_paused(scheduler.resume, False, self._rng.choice(JOBS))

    def remove(self, scheduler: Scheduler) -> None:
        """Remove a job."""
        job_id = self._rng.choice(JOBS)
        self._log(f"remove {job_id}")
        self._request(job_id, JobState.after_remove, partial(scheduler.remove, job_id))

    def enqueue(self, scheduler: Scheduler) -> None:
        """Enqueue a call, sometimes with a unique key or a delay."""
        options: dict[str, Any] = {"queue": self._rng.choice((*QUEUES, METERED))}
        if self._rng.random() < 0.6:
            options["unique_key"] = self._rng.choice(UNIQUE_KEYS)
            options["unique"] = self._rng.choice(("until_start", "until_done", "until_done"))
        if self._rng.random() < 0.35:
            options["concurrency_key"] = KEY
        if self._rng.random() < 0.3:
            options["delay"] = self._rng.uniform(0, 10)
        options["priority"] = self._rng.choice((-1, 0, 0, 5))
        self._log(f"enqueue {options}")
        keyed = options.get("unique") == "until_done" and self._rng.random() < 0.5
        task = "flawed" if keyed else self._rng.choice(TASKS)
        run_id = scheduler.enqueue(task, args={"n": self._number()}, **options)
        self.expectations.runs.append(run_id)

    def enqueue_in_transaction(self, scheduler: Scheduler) -> None:
        """Write a row of the application's own and enqueue, both in its own transaction."""
        key = f"joined-{self._number()}"
        rolls_back = self._rng.random() < 0.2
        self._log(f"enqueue in the application's transaction {key}, rolled back: {rolls_back}")
        transactions = self.expectations.transactions
        transactions[key] = (None, None)
        run_id = ""
        scheduler.store.prepare()
        try:
            with scheduler.store.engine.connect() as conn, conn.begin() as transaction:
                run_id = scheduler.enqueue("plain", n=0, session=conn)
                transactions[key] = (None, run_id)
                statement = "insert into sim_effect values (:key, :run)"
                conn.execute(text(statement), {"key": key, "run": run_id})
                if rolls_back:
                    transaction.rollback()
        except type(connection_lost()) as error:
            raise DatabaseUnavailable(str(error)) from error
        transactions[key] = (not rolls_back, run_id)

    def run_now(self, scheduler: Scheduler) -> None:
        """Run a job outside its schedule."""
        job_id = self._rng.choice(JOBS)
        self._log(f"run {job_id} now")

        def unchanged(state: JobState) -> JobState | None:
            return state if state.exists else None

        def call() -> None:
            self.expectations.runs.append(scheduler.run_now(job_id).id)

        self._request(job_id, unchanged, call)

    def cancel(self, scheduler: Scheduler) -> None:
        """Cancel an unfinished run."""
        state = self._rng.choice(("running", "ready", "scheduled", "waiting"))
        self._command_run("cancel", state, partial(self._cancel, scheduler))

    def cancel_next(self, scheduler: Scheduler) -> None:
        """Cancel a run that will be the next to get a slot of its job."""
        self._command_run("cancel", "next", partial(self._cancel, scheduler))

    def _cancel(self, scheduler: Scheduler, run_id: str) -> None:
        if scheduler.cancel(run_id).state == "cancelled":
            self.expectations.cancelled.append(run_id)

    def retry(self, scheduler: Scheduler) -> None:
        """Start a run over that has ended without success."""
        state = self._rng.choice(("keyed", "keyed", "failed", "failed", "missed", "skipped"))
        self._command_run("retry", state, scheduler.retry)

    def discard(self, scheduler: Scheduler) -> None:
        """Discard a failed run."""
        self._command_run("discard", "failed", partial(scheduler.discard, reason="not wanted"))

    def switch(self, scheduler: Scheduler) -> None:
        """Pause a queue or stop everything; as often, resume both."""
        switch = self._rng.choice(("pause the queue", "stop all", "resume", "resume"))
        self._log(f"switch: {switch}")
        if switch == "pause the queue":
            scheduler.pause_queue("side")
        elif switch == "stop all":
            scheduler.stop_all()
        else:
            self.resume_everything(scheduler)

    def come_back(self, scheduler: SimulatedScheduler) -> None:
        """Prune, and retry what has failed with a unique key that another run holds again."""
        self._dependent.prune(scheduler, JOBS)
        self._log("enqueue and retry with unique keys")
        for key in UNIQUE_KEYS:
            scheduler.enqueue("plain", args={"n": 0}, unique_key=key, unique="until_done", delay=5)
        for run_id in self._runs("keyed"):
            with suppress(*REFUSALS):
                scheduler.retry(run_id)

    def resume_everything(self, scheduler: Scheduler) -> None:
        """Resume the queue and start everything again."""
        scheduler.resume_queue("side")
        scheduler.start_all()

    def pause_jobs(self, scheduler: Scheduler) -> None:
        """Pause every job, so that nothing new falls due."""
        for job_id in (*JOBS, CROWDED):
            self._set_paused(scheduler.pause, True, job_id)

    def _set_paused(self, command: Callable[[str], int], paused: bool, job_id: str) -> None:
        self._log(f"{'pause' if paused else 'resume'} {job_id}")
        change = partial(JobState.after_pause, paused=paused)
        with self.expectations.requesting(job_id, change) as request:
            try:
                if command(job_id):
                    self.expectations.acknowledge(request)
                else:
                    self.expectations.observe(request, exists=True)
            except JobNotFound:
                self.expectations.observe(request, exists=False)

    def _request(self, job_id: str, change: Change, call: Callable[[], Any]) -> None:
        with self.expectations.requesting(job_id, change) as request:
            try:
                call()
            except JobNotFound:
                self.expectations.observe(request, exists=False)
            except DuplicateJob:
                self.expectations.observe(request, exists=True)
            except REFUSALS:
                self.expectations.refuse(request)
                raise
            else:
                self.expectations.acknowledge(request)

    def _command_run(self, name: str, state: str, command: Callable[[str], object]) -> None:
        run_ids = self._runs(state)
        if run_ids:
            run_id = self._rng.choice(run_ids)
            self._log(f"{name} {run_id}")
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
        overlap = choose(("skip", "queue", "queue", "allow", "cancel_running"))
        options = {
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
        chosen = {name: value for name, value in options.items() if self._rng.random() < 0.5}
        return {"overlap": overlap, **chosen}
