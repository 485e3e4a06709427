"""The REST API of jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import Body, Query
from pydantic import BaseModel, Field

from duly.errors import JobNotFound, StateError
from duly.model.backfill import MAX_RUNS, PRIORITY, Backfill
from duly.model.job import JobRecord
from duly.model.page import MAX_IDS
from duly.model.run import RunRecord
from duly.operations.filters import JobFilters
from duly.operations.jobs.find import MissedRange
from duly.web.api.job_bodies import JobBody, JobChanges, NewJob
from duly.web.api.paging import BodyModel, DryRun, Instant, Limit, PageQuery, QueryModel, Text, page
from duly.web.api.schemas import NextFires, Page
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name, segment
from duly.web.preconditions import (
    IfMatch,
    IfNoneMatch,
    creates_only,
    expected_revision,
    precondition,
)
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="jobs")


class JobFields(BaseModel):
    """Filters for jobs, all of which must match. ``ids`` may be given several times."""

    ids: list[Text] = Field([], max_length=MAX_IDS, description="Their ids.")
    tag: Text | None = None
    state: Literal["active", "paused", "finished", "unresolved"] | None = None
    task: Text | None = None
    queue: Text | None = None
    text: Annotated[Text | None, Field(description="Part of the id or of the task's name.")] = None
    failing: bool = False

    def filters(self) -> JobFilters:
        """Return the filters that were given."""
        given = self.model_dump(include=set(JobFields.model_fields), exclude_unset=True)
        return cast(JobFilters, given)


class JobsQuery(JobFields, PageQuery):
    """Filters for jobs, and the page to return."""

    order: Annotated[
        Literal["id", "next_fire_at"],
        Field(description="`next_fire_at`: only jobs that will fire again, on a single page."),
    ] = "id"


class NextFiresQuery(QueryModel):
    """The number of nominal times to return."""

    count: Limit = 10


class MissedQuery(QueryModel):
    """The number of ranges to return."""

    limit: Limit = 50


class Pause(BodyModel):
    """The reason for a pause."""

    reason: Text | None = None


PauseBody = Annotated[Pause, Body(default_factory=Pause)]


class RunNow(BodyModel):
    """The arguments of the run; default: the job's own."""

    args: dict[str, Any] | None = None


class BackfillBody(BodyModel):
    """The period whose times run, and its bounds.

    Attributes:
        start: the start of the period, inclusive.
        end: the end of the period, exclusive.
        force: whether to go back further than history is kept.
        limit: the maximum number of runs; if there would be more, none is created.
        priority: the priority of the runs; smaller numbers start first.
    """

    start: Instant
    end: Instant
    force: bool = False
    limit: Annotated[int, Field(ge=1, le=MAX_RUNS)] = 1000
    priority: Annotated[int, Field(ge=-32768, le=32767)] = PRIORITY


@routes.get("/jobs", scope="own")
async def list_jobs(context: Context, query: Annotated[JobsQuery, Query()]) -> Page[JobRecord]:
    """List jobs, sorted by id."""
    records: list[JobRecord] = await context.scheduler.aio.jobs(
        **context.own(query.filters()),
        order=query.order,
        after=query.after,
        limit=query.limit + 1,
    )
    if query.order != "id":
        return Page(items=list(records[: query.limit]))
    return page(records, query.limit, lambda job: job.id)


@routes.post("/jobs", role="admin", status=201, scope="own", creates=True)
async def create_job(context: Context, body: NewJob) -> JobRecord:
    """Create a job; 409 if its id is taken."""
    job = await context.scheduler.aio.add(
        body.task, id=body.id, paused=body.paused, actor=context.actor, **body.fields()
    )
    return _created(context, job)


@routes.get("/jobs/{job_id}")
async def show_job(context: Context, job_id: Name) -> JobRecord:
    """Return a job, with its revision as the ``ETag``."""
    return _tagged(context, await context.scheduler.aio.job(job_id))


@routes.put("/jobs/{job_id}", fails=(412,), creates=True)
async def replace_job(
    context: Context,
    job_id: Name,
    body: JobBody,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> JobRecord:
    """Create a job, or replace one as a whole; an unchanged trigger keeps its next fire.

    A job that code declares is not replaced: 409. Override some of its fields with PATCH.
    """
    revision, only_new = expected_revision(if_match), creates_only(if_none_match)
    with precondition(only_new or revision is not None):
        if not only_new:
            await _refuse_code(context, job_id)
        job = await context.scheduler.aio.add(
            body.task,
            id=job_id,
            replace=not only_new,
            revision=revision,
            actor=context.actor,
            **body.fields(),
        )
    return _tagged(context, job)


@routes.patch("/jobs/{job_id}", fails=(412,))
async def change_job(
    context: Context, job_id: Name, body: JobChanges, if_match: IfMatch = None
) -> JobRecord:
    """Change some fields of a job; of a job that code declares, until they are reset."""
    revision = expected_revision(if_match)
    with precondition(revision is not None):
        job = await context.scheduler.aio.edit(
            job_id, revision=revision, actor=context.actor, **body.fields()
        )
    return _tagged(context, job)


@routes.delete("/jobs/{job_id}", fails=(412,))
async def remove_job(context: Context, job_id: Name, if_match: IfMatch = None) -> None:
    """Remove a job: runs that have not started are cancelled, and its history is kept."""
    revision = expected_revision(if_match)
    with precondition(revision is not None):
        await context.scheduler.aio.remove(job_id, revision=revision, actor=context.actor)


@routes.post("/jobs/{job_id}/reset", role="admin")
async def reset_job(context: Context, job_id: Name) -> JobRecord:
    """Undo all manual changes of a job, so that its declaration in code applies again."""
    return _tagged(context, await context.scheduler.aio.reset(job_id, actor=context.actor))


@routes.get("/jobs/{job_id}/runs")
async def list_job_runs(
    context: Context, job_id: Name, query: Annotated[PageQuery, Query()]
) -> Page[RunRecord]:
    """List the runs of a job, newest first."""
    await context.scheduler.aio.job(job_id)
    filters = query.model_dump(exclude={"limit"})
    records = await context.scheduler.aio.runs(
        job=job_id, **filters, owners=context.owners, limit=query.limit + 1
    )
    return page(records, query.limit, lambda run: run.id)


@routes.get("/jobs/{job_id}/next")
async def list_next_fires(
    context: Context, job_id: Name, query: Annotated[NextFiresQuery, Query()]
) -> NextFires:
    """List the next nominal times of a job."""
    fires = await context.scheduler.aio.next_fires(job_id, query.count)
    return NextFires(job_id=job_id, fires=fires)


@routes.get("/jobs/{job_id}/missed")
async def list_missed(
    context: Context, job_id: Name, query: Annotated[MissedQuery, Query()]
) -> list[MissedRange]:
    """List the ranges of a job's nominal times that did not run, newest first."""
    job = await context.scheduler.aio.job(job_id)
    return context.own_ranges(job, await context.scheduler.aio.missed(job_id, limit=query.limit))


@routes.post("/jobs/{job_id}/pause")
async def pause_job(context: Context, job_id: Name, body: PauseBody) -> JobRecord:
    """Stop firing a job; runs that exist continue."""
    await context.scheduler.aio.pause(job_id, reason=body.reason, actor=context.actor)
    return _tagged(context, await context.scheduler.aio.job(job_id))


@routes.post("/jobs/{job_id}/resume")
async def resume_job(context: Context, job_id: Name) -> JobRecord:
    """Resume firing a job."""
    await context.scheduler.aio.resume(job_id, actor=context.actor)
    return _tagged(context, await context.scheduler.aio.job(job_id))


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


@routes.post("/jobs/{job_id}/backfill", fails=(409,))
async def backfill_job(
    context: Context, job_id: Name, query: DryRun, body: BackfillBody
) -> Backfill:
    """Run the nominal times of a period that did not run; with ``dry_run=true``, tell which."""
    return await context.scheduler.aio.backfill(
        job_id,
        body.start,
        body.end,
        dry_run=query.dry_run,
        force=body.force,
        limit=body.limit,
        priority=body.priority,
        actor=context.actor,
    )


def _tagged(context: Context, job: JobRecord) -> JobRecord:
    """Return a job, and send its revision as the ETag."""
    context.headers["ETag"] = f'"{job.revision}"'
    return job


def _created(context: Context, job: JobRecord) -> JobRecord:
    context.headers["Location"] = f"{context.base}{API_PREFIX}/jobs/{segment(job.id)}"
    return _tagged(context, job)


async def _refuse_code(context: Context, job_id: str) -> None:
    """Refuse to replace a job that code declares.

    Raises:
        StateError: code declares it.
    """
    try:
        job: JobRecord = await context.scheduler.aio.job(job_id)
    except JobNotFound:
        return
    if job.origin == "code":
        raise StateError(
            f"job {job_id!r} is declared in code, so it cannot be replaced; change some of its "
            "fields with PATCH, which reset undoes"
        )
