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
from duly.web.api import shapes
from duly.web.api.paging import Text, page
from duly.web.dashboard.overview import TROUBLES, look, time_line
from duly.web.dashboard.page import read_status, render
from duly.web.dashboard.strip import strip
from duly.web.operation import Call, Operations

JOB_STATES = ("active", "paused", "finished", "unresolved")
PAGE = 50
FIRES = 10
BARS = 40
SHOWN_RUNS = 15
RANGES = 10
LOG_LINES = 1000
LIVE = 1.0
CALM = 10.0

operations = Operations()


class JobsShown(BaseModel):
    """What the address of the jobs page says; what it does not know, it passes over."""

    model_config = ConfigDict(extra="ignore")

    text: Text | None = None
    state: Literal["active", "paused", "finished", "unresolved"] | None = None
    tag: Text | None = None
    task: Text | None = None
    queue: Text | None = None
    after: Text | None = None


class RunsShown(BaseModel):
    """What the address of the runs page says."""

    model_config = ConfigDict(extra="ignore")

    text: Text | None = None
    state: list[RunState] = Field([], max_length=len(RUN_STATES))
    job: Text | None = None
    task: Text | None = None
    after: Text | None = None


@operations.get("/")
async def show_overview(call: Call) -> Response:
    """What is late or failing, what comes next, what happened last."""
    status = await read_status(call)
    held = await look(call, status.at)
    line = time_line(held.upcoming, status.at)
    return await render(
        call, "overview.html", refresh=2, status=status, held=held, line=line, most=TROUBLES
    )


@operations.get("/jobs")
async def show_jobs(call: Call, query: JobsShown) -> Response:
    """All jobs, or those that are searched for."""
    records: list[JobRecord] = await call.scheduler.aio.jobs(**query.model_dump(), limit=PAGE + 1)
    held = page(records, PAGE, shapes.Job, lambda job: job.id)
    return await render(call, "jobs.html", page=held, query=query, states=JOB_STATES)


@operations.get("/jobs/{job_id}")
async def show_job(call: Call, job_id: str) -> Response:
    """One job: how it is defined, when it fires, what became of its runs."""
    ask = call.scheduler.aio
    job = shapes.Job.model_validate(await ask.job(job_id))
    fires: list[datetime] = await ask.next_fires(job_id, FIRES)
    runs = [shapes.Run.model_validate(run) for run in await ask.runs(job=job_id, limit=BARS)]
    missed = await ask.missed(job_id, limit=RANGES)
    zone = job.trigger.tz if job.trigger else None
    return await render(
        call,
        "job.html",
        refresh=2,
        job=job,
        doc=_doc(call, job.task),
        fires=fires,
        zone=ZoneInfo(zone or call.scheduler.settings.timezone),
        strip=strip(runs),
        runs=runs[:SHOWN_RUNS],
        missed=[shapes.MissedRange.model_validate(held) for held in missed],
    )


@operations.get("/runs")
async def show_runs(call: Call, query: RunsShown) -> Response:
    """All runs, or those that are searched for, newest first."""
    wanted = query.model_dump(exclude={"state"})
    states = list(query.state) or None
    records = await call.scheduler.aio.runs(**wanted, state=states, limit=PAGE + 1)
    held = page(records, PAGE, shapes.Run, lambda run: run.id)
    return await render(call, "runs.html", page=held, query=query, states=RUN_STATES)


@operations.get("/runs/{run_id}")
async def show_run(call: Call, run_id: str) -> Response:
    """One run: its state, its attempts, its log, what it returned or how it failed."""
    ask = call.scheduler.aio
    run = shapes.Run.model_validate(await ask.run(run_id))
    lines = await ask.run_log(run_id)
    return await render(
        call,
        "run.html",
        refresh=CALM if run.is_terminal else LIVE,
        run=run,
        job=await _job_of(call, run),
        attempts=[shapes.Attempt.model_validate(held) for held in await ask.attempts(run_id)],
        lines=[shapes.LogLine.model_validate(line) for line in lines[-LOG_LINES:]],
        left_out=max(0, len(lines) - LOG_LINES),
    )


async def _job_of(call: Call, run: shapes.Run) -> shapes.Job | None:
    """The job of a run; ``None`` for calls outside a schedule and for jobs that were removed."""
    if run.job_id is None:
        return None
    try:
        return shapes.Job.model_validate(await call.scheduler.aio.job(run.job_id))
    except JobNotFound:
        return None


def _doc(call: Call, task: str) -> str | None:
    """What a task's function says about itself; ``None`` where this process does not know it."""
    registry = call.scheduler.registry
    return registry.get(task).doc if task in registry else None
