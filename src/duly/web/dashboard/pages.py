"""The pages that one may look at."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from duly.errors import JobNotFound
from duly.model.job import JobRecord
from duly.model.run import RUN_STATES, RunState
from duly.web.api import schemas
from duly.web.api.paging import Text, page
from duly.web.dashboard.outcome_bars import outcome_bars
from duly.web.dashboard.overview import TROUBLES, look, time_line
from duly.web.dashboard.rendering import read_status, render
from duly.web.endpoint import Endpoints, RequestContext

JOB_STATES = ("active", "paused", "finished", "unresolved")
PAGE = 50
FIRES = 10
BARS = 40
SHOWN_RUNS = 15
RANGES = 10
LOG_LINES = 1000
LIVE = 1.0
CALM = 10.0

endpoints = Endpoints()


class JobsPageQuery(BaseModel):
    """What the address of the jobs page says; what it does not know, it passes over."""

    model_config = ConfigDict(extra="ignore")

    text: Text | None = None
    state: Literal["active", "paused", "finished", "unresolved"] | None = None
    tag: Text | None = None
    task: Text | None = None
    queue: Text | None = None
    after: Text | None = None


class RunsPageQuery(BaseModel):
    """What the address of the runs page says."""

    model_config = ConfigDict(extra="ignore")

    text: Text | None = None
    state: list[RunState] = Field([], max_length=len(RUN_STATES))
    job: Text | None = None
    task: Text | None = None
    after: Text | None = None


@endpoints.get("/")
async def show_overview(context: RequestContext) -> Response:
    """What is late or failing, what comes next, what happened last."""
    status = await read_status(context)
    held = await look(context, status.at)
    line = time_line(held.upcoming, status.at)
    return await render(
        context, "overview.html", refresh=2, status=status, held=held, line=line, most=TROUBLES
    )


@endpoints.get("/jobs")
async def show_jobs(context: RequestContext, query: JobsPageQuery) -> Response:
    """All jobs, or those that are searched for."""
    records: list[JobRecord] = await context.scheduler.aio.jobs(
        **query.model_dump(), limit=PAGE + 1
    )
    held = page(records, PAGE, schemas.Job, lambda job: job.id)
    return await render(context, "jobs.html", page=held, query=query, states=JOB_STATES)


@endpoints.get("/jobs/{job_id}")
async def show_job(context: RequestContext, job_id: str) -> Response:
    """One job: how it is defined, when it fires, what became of its runs."""
    ask = context.scheduler.aio
    job = schemas.Job.model_validate(await ask.job(job_id))
    fires: list[datetime] = await ask.next_fires(job_id, FIRES)
    runs = [schemas.Run.model_validate(run) for run in await ask.runs(job=job_id, limit=BARS)]
    missed = await ask.missed(job_id, limit=RANGES)
    zone = job.trigger.tz if job.trigger else None
    return await render(
        context,
        "job.html",
        refresh=2,
        job=job,
        doc=_doc(context, job.task),
        fires=fires,
        zone=ZoneInfo(zone or context.scheduler.settings.timezone),
        bars=outcome_bars(runs),
        runs=runs[:SHOWN_RUNS],
        missed=[schemas.MissedRange.model_validate(held) for held in missed],
    )


@endpoints.get("/runs")
async def show_runs(context: RequestContext, query: RunsPageQuery) -> Response:
    """All runs, or those that are searched for, newest first."""
    wanted = query.model_dump(exclude={"state"})
    states = list(query.state) or None
    records = await context.scheduler.aio.runs(**wanted, state=states, limit=PAGE + 1)
    held = page(records, PAGE, schemas.Run, lambda run: run.id)
    return await render(context, "runs.html", page=held, query=query, states=RUN_STATES)


@endpoints.get("/runs/{run_id}")
async def show_run(context: RequestContext, run_id: str) -> Response:
    """One run: its state, its attempts, its log, what it returned or how it failed."""
    ask = context.scheduler.aio
    run = schemas.Run.model_validate(await ask.run(run_id))
    lines = await ask.run_log(run_id)
    return await render(
        context,
        "run.html",
        refresh=CALM if run.is_terminal else LIVE,
        run=run,
        job=await _job_of(context, run),
        attempts=[schemas.Attempt.model_validate(held) for held in await ask.attempts(run_id)],
        lines=[schemas.LogLine.model_validate(line) for line in lines[-LOG_LINES:]],
        left_out=max(0, len(lines) - LOG_LINES),
    )


async def _job_of(context: RequestContext, run: schemas.Run) -> schemas.Job | None:
    """The job of a run; ``None`` for calls outside a schedule and for jobs that were removed."""
    if run.job_id is None:
        return None
    try:
        return schemas.Job.model_validate(await context.scheduler.aio.job(run.job_id))
    except JobNotFound:
        return None


def _doc(context: RequestContext, task: str) -> str | None:
    """What a task's function says about itself; ``None`` where this process does not know it."""
    registry = context.scheduler.registry
    return registry.get(task).doc if task in registry else None
