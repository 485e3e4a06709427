"""Jobs."""

from __future__ import annotations

from typing import Any, Literal

from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.web.api import schemas
from duly.web.api.paging import BodyModel, Limit, QueryModel, Text, page
from duly.web.api.runs import PageQuery
from duly.web.endpoint import Endpoints, RequestContext
from duly.web.paths import API_PREFIX, segment

endpoints = Endpoints(API_PREFIX)


class JobsQuery(QueryModel):
    """Which jobs; everything given must hold."""

    tag: Text | None = None
    state: Literal["active", "paused", "finished", "unresolved"] | None = None
    task: Text | None = None
    queue: Text | None = None
    text: Text | None = None
    failing: bool = False
    after: Text | None = None
    limit: Limit = 50


class NextFiresQuery(QueryModel):
    """How many next fires."""

    count: Limit = 10


class Pause(BodyModel):
    """Why a job is paused."""

    reason: Text | None = None


class RunNow(BodyModel):
    """Other arguments than the job's own, all of them."""

    args: dict[str, Any] | None = None


@endpoints.get("/jobs")
async def list_jobs(context: RequestContext, query: JobsQuery) -> schemas.Page[schemas.Job]:
    """Jobs by id."""
    wanted = query.model_dump(exclude={"limit"})
    held: list[JobRecord] = await context.scheduler.aio.jobs(**wanted, limit=query.limit + 1)
    return page(held, query.limit, schemas.Job, lambda job: job.id)


@endpoints.get("/jobs/{job_id}")
async def show_job(context: RequestContext, job_id: str) -> schemas.Job:
    """One job; its revision is the ``ETag``."""
    held = schemas.Job.model_validate(await context.scheduler.aio.job(job_id))
    context.headers["ETag"] = f'"{held.revision}"'
    return held


@endpoints.get("/jobs/{job_id}/runs")
async def list_job_runs(
    context: RequestContext, job_id: str, query: PageQuery
) -> schemas.Page[schemas.Run]:
    """A job's runs, newest first."""
    await context.scheduler.aio.job(job_id)
    wanted = query.model_dump(exclude={"limit"})
    held = await context.scheduler.aio.runs(job=job_id, **wanted, limit=query.limit + 1)
    return page(held, query.limit, schemas.Run, lambda run: run.id)


@endpoints.get("/jobs/{job_id}/next")
async def list_next_fires(
    context: RequestContext, job_id: str, query: NextFiresQuery
) -> schemas.NextFires:
    """A job's next nominal times."""
    fires = await context.scheduler.aio.next_fires(job_id, query.count)
    return schemas.NextFires(job_id=job_id, fires=fires)


@endpoints.get("/jobs/{job_id}/missed")
async def list_missed(
    context: RequestContext, job_id: str, query: PageQuery
) -> list[schemas.MissedRange]:
    """The ranges of a job's nominal times that did not run, newest first."""
    await context.scheduler.aio.job(job_id)
    held = await context.scheduler.aio.missed(job_id, limit=query.limit)
    return [schemas.MissedRange.model_validate(record) for record in held]


@endpoints.post("/jobs/{job_id}/pause")
async def pause_job(context: RequestContext, job_id: str, body: Pause) -> schemas.Job:
    """Stop firing a job; its runs go on."""
    await context.scheduler.aio.pause(job_id, reason=body.reason, actor=context.actor)
    return await show_job(context, job_id)


@endpoints.post("/jobs/{job_id}/resume")
async def resume_job(context: RequestContext, job_id: str) -> schemas.Job:
    """Fire a job again."""
    await context.scheduler.aio.resume(job_id, actor=context.actor)
    return await show_job(context, job_id)


@endpoints.post("/jobs/{job_id}/run", status=202)
async def run_job(context: RequestContext, job_id: str, body: RunNow) -> schemas.Run:
    """Run a job now, outside its schedule; 409 where its overlap policy forbids it."""
    held: RunRecord = await context.scheduler.aio.run_now(
        job_id, args=body.args, actor=context.actor
    )
    context.headers["Location"] = f"{context.base}{API_PREFIX}/runs/{segment(held.id)}"
    return schemas.Run.model_validate(held)
