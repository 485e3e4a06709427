"""The REST API of jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Body, Query

from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.operations.jobs.find import MissedRange
from duly.web.api import schemas
from duly.web.api.paging import BodyModel, Limit, QueryModel, Text, page
from duly.web.api.runs import PageQuery
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name, segment
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="jobs")


class JobsQuery(QueryModel):
    """Filters for jobs, all of which must match."""

    tag: Text | None = None
    state: Literal["active", "paused", "finished", "unresolved"] | None = None
    task: Text | None = None
    queue: Text | None = None
    text: Text | None = None
    failing: bool = False
    after: Text | None = None
    limit: Limit = 50


class NextFiresQuery(QueryModel):
    """The number of nominal times to return."""

    count: Limit = 10


class Pause(BodyModel):
    """The reason for a pause."""

    reason: Text | None = None


PauseBody = Annotated[Pause, Body(default_factory=Pause)]


class RunNow(BodyModel):
    """The arguments of the run; default: the job's own."""

    args: dict[str, Any] | None = None


@routes.get("/jobs")
async def list_jobs(
    context: Context, query: Annotated[JobsQuery, Query()]
) -> schemas.Page[JobRecord]:
    """List jobs, sorted by id."""
    filters = query.model_dump(exclude={"limit"})
    records: list[JobRecord] = await context.scheduler.aio.jobs(**filters, limit=query.limit + 1)
    return page(records, query.limit, lambda job: job.id)


@routes.get("/jobs/{job_id}")
async def show_job(context: Context, job_id: Name) -> JobRecord:
    """Return a job, with its revision as the ``ETag``."""
    job = await context.scheduler.aio.job(job_id)
    context.headers["ETag"] = f'"{job.revision}"'
    return job


@routes.get("/jobs/{job_id}/runs")
async def list_job_runs(
    context: Context, job_id: Name, query: Annotated[PageQuery, Query()]
) -> schemas.Page[RunRecord]:
    """List the runs of a job, newest first."""
    await context.scheduler.aio.job(job_id)
    filters = query.model_dump(exclude={"limit"})
    records = await context.scheduler.aio.runs(job=job_id, **filters, limit=query.limit + 1)
    return page(records, query.limit, lambda run: run.id)


@routes.get("/jobs/{job_id}/next")
async def list_next_fires(
    context: Context, job_id: Name, query: Annotated[NextFiresQuery, Query()]
) -> schemas.NextFires:
    """List the next nominal times of a job."""
    fires = await context.scheduler.aio.next_fires(job_id, query.count)
    return schemas.NextFires(job_id=job_id, fires=fires)


@routes.get("/jobs/{job_id}/missed")
async def list_missed(
    context: Context, job_id: Name, query: Annotated[PageQuery, Query()]
) -> list[MissedRange]:
    """List the ranges of a job's nominal times that did not run, newest first."""
    await context.scheduler.aio.job(job_id)
    return await context.scheduler.aio.missed(job_id, limit=query.limit)


@routes.post("/jobs/{job_id}/pause")
async def pause_job(context: Context, job_id: Name, body: PauseBody) -> JobRecord:
    """Stop firing a job; runs that exist continue."""
    await context.scheduler.aio.pause(job_id, reason=body.reason, actor=context.actor)
    return await show_job(context, job_id)


@routes.post("/jobs/{job_id}/resume")
async def resume_job(context: Context, job_id: Name) -> JobRecord:
    """Resume firing a job."""
    await context.scheduler.aio.resume(job_id, actor=context.actor)
    return await show_job(context, job_id)


@routes.post("/jobs/{job_id}/run", status=202)
async def run_job(
    context: Context, job_id: Name, body: Annotated[RunNow, Body(default_factory=RunNow)]
) -> RunRecord:
    """Run a job now, outside its schedule; 409 if its overlap policy does not allow it."""
    run: RunRecord = await context.scheduler.aio.run_now(
        job_id, args=body.args, actor=context.actor
    )
    context.headers["Location"] = f"{context.base}{API_PREFIX}/runs/{segment(run.id)}"
    return run
