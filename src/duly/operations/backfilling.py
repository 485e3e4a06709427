"""Running what did not run in the past."""

from __future__ import annotations

from datetime import datetime

from duly.errors import ConfigurationError
from duly.model.backfill import Backfill
from duly.model.checks import instant, whole
from duly.operations import backfill as commands
from duly.operations.core import Wiring
from duly.operations.patience import patient

MOST = 10_000
CHUNK = 500
"""Runs that are stored in one transaction: on SQLite all other writers wait for it."""


class Backfilling(Wiring):
    """How one repeats the past."""

    def backfill(
        self,
        job_id: str,
        start: datetime,
        end: datetime,
        *,
        dry_run: bool = False,
        force: bool = False,
        limit: int = 1000,
        priority: int = commands.PRIORITY,
        actor: str | None = None,
    ) -> Backfill:
        """Run the nominal times of a job in ``[start, end)`` that did not run.

        What has run, runs or was cancelled is left alone; missed and skipped times are made up
        for. The runs have the cause ``backfill``; they start as the job's ``max_running`` and
        ``overlap`` allow, oldest first, and never keep its schedule from firing.

        Args:
            job_id: which job; also a paused or finished one.
            start: an aware instant.
            end: an aware instant; times that the job's schedule has yet to decide are left to it.
            dry_run: only count; write nothing.
            force: go back further than history is kept, where what has run may run again.
            limit: how many runs it may make, 1 to 10,000; more are refused before any is made.
            priority: of the runs; smaller starts first.
            actor: who does it, for the audit trail.

        Raises:
            JobNotFound: no such job.
            ConfigurationError: no such stretch, more runs than ``limit``, beyond history without
                ``force``, or a job without times of its own.
            StateError: the job's trigger cannot be read.
            RevisionConflict: the job was changed meanwhile.
            NaiveDatetimeError: ``start`` or ``end`` has no time zone.
        """
        first, last = instant("start", start), instant("end", end)
        most = whole(1, MOST)("limit", limit)
        urgency = whole(-32768, 32767)("priority", priority)
        with self.store.read() as conn:
            now = self.store.time.now()
            stretch = commands.survey(conn, job_id, first, last, now)
            plan = commands.plan(conn, stretch.job.uid, stretch.times)
        refusals = [commands.forgotten(stretch, now) if not force else None, _too_many(plan, most)]
        notes = [*stretch.notes, *filter(None, refusals)]
        if dry_run:
            return _result(stretch, [plan], True, notes)
        for refusal in filter(None, refusals):
            raise ConfigurationError(refusal)
        done = []
        for begin in range(0, len(plan.times), CHUNK):
            times = plan.times[begin : begin + CHUNK]
            done.append(self._fill(stretch, times, urgency, actor))
        settled = commands.Plan((), (), plan.settled)
        return _result(stretch, [*done, settled], False, notes)

    @patient
    def _fill(
        self,
        stretch: commands.Stretch,
        times: tuple[datetime, ...],
        priority: int,
        actor: str | None,
    ) -> commands.Plan:
        with self._write(actor) as tx:
            done = commands.fill(tx, stretch, times, priority)
            tx.record(
                "job.backfilled", job_id=stretch.job.id, first=times[0].isoformat(),
                last=times[-1].isoformat(), runs=len(done.times),
            )  # fmt: skip
            return done


def _too_many(plan: commands.Plan, most: int) -> str | None:
    count = len(plan.times)
    if count <= most:
        return None
    return (
        f"this would make {count:,} runs, and limit={most:,}; backfill a shorter stretch, or pass "
        f"a higher limit (at most {MOST:,})"
    )


def _result(
    stretch: commands.Stretch, plans: list[commands.Plan], dry_run: bool, notes: list[str]
) -> Backfill:
    return Backfill(
        job_id=stretch.job.id,
        start=stretch.start,
        end=stretch.end,
        times=tuple(moment for plan in plans for moment in plan.times),
        made=sum(len(plan.fresh) for plan in plans),
        revived=sum(len(plan.held) for plan in plans),
        settled=sum(plan.settled for plan in plans),
        dry_run=dry_run,
        notes=tuple(notes),
    )
