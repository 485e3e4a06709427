"""The page of a job: is it healthy, when does it fire next, and what can be done?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from duly.errors import TriggerError
from duly.model.event import Event
from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.operations.jobs.find import MissedRange
from duly.web.api.paging import QueryModel
from duly.web.context import Context, RequestContext
from duly.web.dashboard.charts.durations import SLOTS, durations_of
from duly.web.dashboard.charts.job_graph import job_graph
from duly.web.dashboard.charts.month import (
    Day,
    Month,
    days_of,
    month_of,
    with_fires,
    with_history,
    with_marks,
)
from duly.web.dashboard.job_health import health_of
from duly.web.dashboard.overrides import overrides_of
from duly.web.dashboard.rendering import read_status, render
from duly.web.dashboard.sentences import sentence, why
from duly.web.dashboard.stranded import stranded
from duly.web.paths import Name
from duly.web.routes import Routes

MAX_FIRES = 6
MAX_RUNS = 12
MAX_RANGES = 8
MAX_CHANGES = 15
EXAMINED_EVENTS = 300
EXAMINED_RANGES = 100
COUNTED_A_DAY = 150

routes = Routes(tag=None)


class JobPageQuery(QueryModel):
    """The query of the page of a job: the month that its calendar shows."""

    month: Annotated[str | None, Field(pattern=r"^(199|20\d|21\d)\d-(0[1-9]|1[0-2])$")] = None


@routes.get("/jobs/{job_id}")
async def show_job(
    context: Context, job_id: Name, query: Annotated[JobPageQuery, Query()]
) -> Response:
    """Show a job: its health, its calendar, its runs and decisions, and what surrounds it."""
    scheduler = context.scheduler.aio
    status = await read_status(context)
    job: JobRecord = (await scheduler.job(job_id)).redacted()
    zone = zone_of(context, job)
    runs = await scheduler.runs(job=job_id, owners=context.owners, limit=SLOTS)
    missed = await scheduler.missed(job_id, limit=EXAMINED_RANGES)
    ranges = [each.redacted() for each in context.own_ranges(job, missed)]
    around = await scheduler.neighbours(job_id, owners=context.owners)
    declared = await scheduler.declaration(job_id) if job.overridden else None
    return await render(
        context,
        "job.html",
        refresh=2,
        zone=zone,
        status=status,
        job=job,
        doc=_doc(context, job.task),
        health=health_of(job, runs, status),
        fires=await scheduler.next_fires(job_id, MAX_FIRES),
        month=await _month(context, job, _month_to_show(query, status.at, zone), ranges),
        chart=durations_of(runs, status.at),
        runs=[run.redacted() for run in runs[:MAX_RUNS]],
        undone=_undone(runs),
        stranded=stranded(runs, status),
        ranges=ranges[:MAX_RANGES],
        around=around,
        graph=job_graph(job, around) if around.jobs else None,
        unfinished=await scheduler.unfinished(job_id),
        overrides=overrides_of(job, declared and declared.redacted()),
        changes=await _changes(context, job_id),
        sentence=sentence,
        why=why,
    )


def zone_of(context: RequestContext, job: JobRecord) -> ZoneInfo:
    """Return the time zone of a job: that of its trigger, or else the scheduler's."""
    own = job.trigger.tz if job.trigger else None
    return ZoneInfo(own or context.scheduler.settings.timezone)


def _doc(context: RequestContext, task: str) -> str | None:
    """Return the description of a task; ``None`` if it is not registered in this process."""
    registry = context.scheduler.registry
    return registry.get(task).doc if task in registry else None


def _month_to_show(query: JobPageQuery, now: datetime, zone: ZoneInfo) -> list[Day]:
    return days_of(query.month or f"{now.astimezone(zone):%Y-%m}", zone)


async def _month(
    context: RequestContext, job: JobRecord, days: list[Day], ranges: Sequence[MissedRange]
) -> Month:
    """Return the month with its runs, its coming times, and what is special about its days."""
    now, zone = context.scheduler.clock.now(), zone_of(context, job)
    past = [day.since for day in days if day.since <= now]
    counts = []
    if past:
        ends = [*past, days[len(past) - 1].until]
        counts = await context.scheduler.aio.run_counts(
            job.id, ends, limit=COUNTED_A_DAY, owners=context.owners
        )
    with_runs = list(with_history(days, counts, ranges, job))

    def compute() -> Month:
        try:
            known = with_marks(with_fires(with_runs, job, now), job.trigger, zone)
            return month_of(list(known), now, zone)
        except TriggerError as error:
            return month_of(with_runs, now, zone, str(error))

    return await run_in_threadpool(compute)


def _undone(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return those of the last runs that were missed or skipped."""
    undone = [run for run in runs if run.state in {"missed", "skipped"}]
    return [run.redacted() for run in undone[:MAX_RANGES]]


async def _changes(context: RequestContext, job_id: str) -> list[Event]:
    """Return what happened to the job, and what users did with its runs, among the last events."""
    events = await context.scheduler.aio.events(
        job=job_id, newest=True, owners=context.owners, limit=EXAMINED_EVENTS
    )
    changes = [event for event in events if event.kind.startswith("job.") or event.actor]
    return [event.redacted() for event in changes[:MAX_CHANGES]]
