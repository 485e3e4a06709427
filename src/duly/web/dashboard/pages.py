"""The pages of the dashboard."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from duly.errors import JobNotFound
from duly.model.job import JobRecord
from duly.model.run import RUN_STATES, RunRecord, RunState
from duly.web.api.paging import QueryModel, Text, page
from duly.web.context import Context, RequestContext
from duly.web.dashboard.outcome_bars import outcome_bars
from duly.web.dashboard.overview import MAX_PROBLEMS, read_overview, timeline
from duly.web.dashboard.rendering import read_status, render
from duly.web.paths import Name
from duly.web.routes import Routes

JOB_STATES = ("active", "paused", "finished", "unresolved")
PAGE_SIZE = 50
MAX_FIRES = 10
MAX_BARS = 40
MAX_RUNS = 15
MAX_RANGES = 10
MAX_LOG_LINES = 1000
REFRESH_RUNNING_S = 1.0
REFRESH_FINISHED_S = 10.0

routes = Routes(tag=None)


class JobsPageQuery(QueryModel):
    """The query of the jobs page."""

    text: Text | None = None
    state: Literal["active", "paused", "finished", "unresolved"] | None = None
    tag: Text | None = None
    task: Text | None = None
    queue: Text | None = None
    after: Text | None = None


class RunsPageQuery(QueryModel):
    """The query of the runs page."""

    text: Text | None = None
    state: list[RunState] = Field([], max_length=len(RUN_STATES))
    job: Text | None = None
    task: Text | None = None
    after: Text | None = None


@routes.get("/")
async def show_overview(context: Context) -> Response:
    """Show what is late or failing, the next fires and the newest runs."""
    status = await read_status(context)
    overview = await read_overview(context, status.at)
    return await render(
        context,
        "overview.html",
        refresh=2,
        status=status,
        overview=overview,
        timeline=timeline(overview.upcoming, status.at),
        max_problems=MAX_PROBLEMS,
    )


@routes.get("/jobs", scope="own")
async def show_jobs(context: Context, query: Annotated[JobsPageQuery, Query()]) -> Response:
    """Show all jobs, or those that match a search."""
    records: list[JobRecord] = await context.scheduler.aio.jobs(
        **query.model_dump(), owners=context.owners, limit=PAGE_SIZE + 1
    )
    jobs = page([job.redacted() for job in records], PAGE_SIZE, lambda job: job.id)
    return await render(context, "jobs.html", page=jobs, query=query, states=JOB_STATES)


@routes.get("/jobs/{job_id}")
async def show_job(context: Context, job_id: Name) -> Response:
    """Show a job: its definition, its next fires and its last runs."""
    scheduler = context.scheduler.aio
    job = (await scheduler.job(job_id)).redacted()
    fires: list[datetime] = await scheduler.next_fires(job_id, MAX_FIRES)
    found = await scheduler.runs(job=job_id, owners=context.owners, limit=MAX_BARS)
    runs = [run.redacted() for run in found]
    missed = context.own_ranges(job, await scheduler.missed(job_id, limit=MAX_RANGES))
    zone = job.trigger.to_json().get("tz") if job.trigger else None
    return await render(
        context,
        "job.html",
        refresh=2,
        job=job,
        doc=_doc(context, job.task),
        fires=fires,
        zone=ZoneInfo(zone or context.scheduler.settings.timezone),
        chart=outcome_bars(runs),
        runs=runs[:MAX_RUNS],
        missed=[record.redacted() for record in missed],
    )


@routes.get("/runs", scope="own")
async def show_runs(context: Context, query: Annotated[RunsPageQuery, Query()]) -> Response:
    """Show all runs, or those that match a search, newest first."""
    filters = query.model_dump(exclude={"state"})
    states = list(query.state) or None
    records = await context.scheduler.aio.runs(
        **filters, state=states, owners=context.owners, limit=PAGE_SIZE + 1
    )
    runs = page([run.redacted() for run in records], PAGE_SIZE, lambda run: run.id)
    return await render(context, "runs.html", page=runs, query=query, states=RUN_STATES)


@routes.get("/runs/{run_id}")
async def show_run(context: Context, run_id: Name) -> Response:
    """Show a run: its state, attempts and log, and its result or error."""
    scheduler = context.scheduler.aio
    run = (await scheduler.run(run_id)).redacted()
    lines = await scheduler.run_log(run_id)
    return await render(
        context,
        "run.html",
        refresh=REFRESH_FINISHED_S if run.is_terminal else REFRESH_RUNNING_S,
        run=run,
        job=await _job_of(context, run),
        attempts=[record.redacted() for record in await scheduler.attempts(run_id)],
        lines=[line.redacted() for line in lines[-MAX_LOG_LINES:]],
        left_out=max(0, len(lines) - MAX_LOG_LINES),
    )


async def _job_of(context: RequestContext, run: RunRecord) -> JobRecord | None:
    """Return the job of a run; ``None`` if it was enqueued, or if its job was removed."""
    if run.job_id is None:
        return None
    try:
        job: JobRecord = (await context.scheduler.aio.job(run.job_id)).redacted()
        return job if context.principal.owns(job.owner) else None
    except JobNotFound:
        return None


def _doc(context: RequestContext, task: str) -> str | None:
    """Return the description of a task; ``None`` if it is not registered in this process."""
    registry = context.scheduler.registry
    return registry.get(task).doc if task in registry else None
