"""Changing jobs and runs by hand."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from duly.errors import ConfigurationError, JobNotFound
from duly.model.checks import label
from duly.model.job import JobRecord, check_tags
from duly.model.run import RunRecord
from duly.model.text import storable_text
from duly.operations import runs as run_commands
from duly.operations import status as queries
from duly.operations.core import Wiring
from duly.operations.jobs import definition as job_commands
from duly.operations.jobs.triggering import trigger_of
from duly.operations.patience import patient
from duly.store import control, jobs, rows
from duly.store.transaction import Transaction
from duly.triggers import Trigger
from duly.triggers.dependency import Outcome

LOOK_EVERY = 0.05
LONGEST_REASON = 4_000
"""Characters of a reason that are kept."""


class Steering(Wiring):
    """How people and programs intervene."""

    @patient
    def edit(
        self,
        /,
        job_id: str,
        *,
        trigger: Trigger | None = None,
        after: Sequence[str] | None = None,
        on: Outcome | None = None,
        args: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        revision: int | None = None,
        actor: str | None = None,
        **options: Any,
    ) -> JobRecord:
        """Change a job by hand; what is changed wins over its declaration until `reset`.

        What fell due under the old definition is decided first. The new trigger takes effect at
        once, here and in every other process, and outlives restarts.

        Args:
            job_id: which job.
            trigger: a new trigger.
            after: or the jobs after whose runs it runs from now on, instead of its trigger.
            on: with ``after``: ``success``, ``failure`` or ``always``.
            args: new arguments, all of them.
            tags: new tags, all of them.
            revision: refuse if the job has changed since this revision was read.
            actor: who does it, for the audit trail.
            options: see `JobOptions`.

        Raises:
            JobNotFound: no such job.
            RevisionConflict: somebody else was faster.
            ArgumentsError: ``args`` do not fit the task.
            DependencyError: ``after`` names an unknown job, or closes a circle.
        """
        if after is not None or on is not None:
            trigger = trigger_of(trigger, after, on, options)
        with self._write(actor) as tx:
            row = job_commands.lock_to_edit(tx, job_id, trigger)
            task = self.registry.get(row.task)
            held, held_options, _problem = rows.definition_of(row)
            if trigger is None and held is None:
                raise ConfigurationError(f"job {job_id!r} has no readable trigger; give a new one")
            held_tags = jobs.tags_of(tx.conn, [job_id])[job_id]
            wanted = job_commands.Definition(
                id=job_id,
                task=row.task,
                trigger=trigger or held,  # type: ignore[arg-type]
                args=row.args if args is None else task.signature.encode(args),
                options=held_options.with_overrides(options, f"for job {job_id!r}"),
                tags=check_tags(held_tags if tags is None else tags),
                zone=self.settings.timezone,
            )
            fields = [f"options.{name}" for name in options]
            given = {"trigger": trigger, "args": args, "tags": tags}
            fields += [name for name, value in given.items() if value is not None]
            job_commands.edit(tx, wanted, fields=fields, revision=revision)
            return _record(tx, job_id)

    @patient
    def reset(self, job_id: str, *, actor: str | None = None) -> JobRecord:
        """Drop the hand edits of a job: its declaration in code holds again.

        Raises:
            JobNotFound: no such job.
            StateError: no code declares it.
        """
        with self._write(actor) as tx:
            job_commands.reset(tx, job_id)
            return _record(tx, job_id)

    @patient
    def pause(
        self,
        job_id: str | None = None,
        *,
        tag: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
        session: object | None = None,
    ) -> int:
        """Stop firing one job, or all jobs with a tag; says how many were active.

        Runs that are ready or running go on.

        Raises:
            JobNotFound: no such job.
        """
        with self._transaction(session, actor) as tx:
            return job_commands.pause(tx, _chosen(tx, job_id, tag), _kept(reason))

    @patient
    def resume(
        self,
        job_id: str | None = None,
        *,
        tag: str | None = None,
        actor: str | None = None,
        session: object | None = None,
    ) -> int:
        """Fire again; what fell due meanwhile is decided by each job's ``catch_up``.

        Raises:
            JobNotFound: no such job.
        """
        with self._transaction(session, actor) as tx:
            return job_commands.resume(tx, _chosen(tx, job_id, tag))

    @patient
    def remove(
        self,
        job_id: str | None = None,
        *,
        tag: str | None = None,
        actor: str | None = None,
        session: object | None = None,
    ) -> int:
        """Delete one job, or all jobs with a tag; says how many.

        Runs that have not started are cancelled, running ones finish, history stays.

        Raises:
            JobNotFound: no such job.
            JobInUse: other jobs run after it; remove them together by a tag, or first.
        """
        with self._transaction(session, actor) as tx:
            return job_commands.remove(tx, _chosen(tx, job_id, tag))

    def run_now(
        self,
        job_id: str,
        *,
        args: Mapping[str, Any] | None = None,
        wait: float | None = None,
        actor: str | None = None,
    ) -> RunRecord:
        """Run a job outside its schedule, also a paused one.

        Args:
            job_id: which job.
            args: other arguments than the job's, all of them.
            wait: seconds to wait for the run's end; ``None``: do not wait.
            actor: who does it, for the audit trail.

        Returns:
            The run as it is then: over, or still on its way.

        Raises:
            JobNotFound: no such job.
            OverlapError: its overlap policy forbids another run now.
            ArgumentsError: ``args`` do not fit the task.
        """
        return self._await(self._run_now(job_id, args, actor), wait)

    @patient
    def _run_now(self, job_id: str, args: Mapping[str, Any] | None, actor: str | None) -> str:
        with self._write(actor) as tx:
            row = jobs.find(tx.conn, job_id)
            if row is None:
                raise JobNotFound(job_id)
            task = self.registry.get(row.task)
            encoded = None if args is None else task.signature.encode(args)
            return run_commands.run_now(tx, job_id, task, encoded)

    @patient
    def cancel(self, run_id: str, *, actor: str | None = None) -> RunRecord:
        """Cancel a run: at once if it has not started, else its function is asked to stop.

        Raises:
            RunNotFound: no such run.
            StateError: it is over.
        """
        with self._write(actor) as tx:
            run_commands.cancel(tx, run_id)
            return queries.run(tx.conn, run_id)

    @patient
    def retry(self, run_id: str, *, actor: str | None = None) -> RunRecord:
        """Start a failed, missed or skipped run again.

        Raises:
            RunNotFound: no such run.
            StateError: it is not over, or it succeeded.
            OverlapError: the job's overlap policy forbids another run now.
        """
        with self._write(actor) as tx:
            run_commands.retry(tx, run_id)
            return queries.run(tx.conn, run_id)

    @patient
    def discard(self, run_id: str, *, reason: str, actor: str | None = None) -> RunRecord:
        """Give up a failed run for good.

        Raises:
            RunNotFound: no such run.
            StateError: it has not failed.
        """
        with self._write(actor) as tx:
            run_commands.discard(tx, run_id, _kept(reason) or "")
            return queries.run(tx.conn, run_id)

    @patient
    def pause_queue(
        self, name: str, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Hold back a queue's ready runs in every worker."""
        with self._write(actor) as tx:
            held = _kept(reason)
            control.pause_queue(tx, _queue("name", name), held)
            tx.record("queue.paused", queue=name, reason=held)

    @patient
    def resume_queue(self, name: str, *, actor: str | None = None) -> None:
        """Let a queue's ready runs go."""
        with self._write(actor) as tx:
            control.resume_queue(tx, _queue("name", name))
            tx.record("queue.resumed", queue=name)

    @patient
    def stop_all(self, *, reason: str = "", actor: str | None = None) -> None:
        """Switch the scheduler off in every worker: nothing fires, nothing is claimed."""
        with self._write(actor) as tx:
            held = _kept(reason) or ""
            control.stop(tx, held)
            tx.record("scheduler.stopped", reason=held)

    @patient
    def start_all(self, *, actor: str | None = None) -> None:
        """Switch the scheduler on again; what fell due meanwhile is decided by catch-up."""
        with self._write(actor) as tx:
            control.start(tx)
            tx.record("scheduler.started")

    def _await(self, run_id: str, wait: float | None) -> RunRecord:
        until = self.store.time.now() + timedelta(seconds=wait or 0)
        stepped = self._engine.state == "stopped" and self._engine.lease.alive
        never = threading.Event()
        while True:
            if wait and stepped:
                self._engine.tick()
            with self.store.read() as conn:
                held = queries.run(conn, run_id)
            if held.is_terminal or stepped or self.store.time.now() >= until:
                return held
            self.clock.wait(never, LOOK_EVERY)


_queue = label(64)


def _kept(reason: str | None) -> str | None:
    """A reason as it is stored: people type, and paste, whatever they like."""
    return None if reason is None else storable_text(str(reason), LONGEST_REASON)


def _record(tx: Transaction, job_id: str) -> JobRecord:
    return queries.job(tx.conn, job_id)


def _chosen(tx: Transaction, job_id: str | None, tag: str | None) -> list[str]:
    if tag is not None and job_id is None:
        return jobs.ids_with_tag(tx.conn, tag)
    if job_id is None or tag is not None:
        raise ConfigurationError("give either a job's id or tag=")
    if jobs.find(tx.conn, job_id) is None:
        raise JobNotFound(job_id)
    return [job_id]
