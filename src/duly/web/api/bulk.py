"""The REST API that changes all runs, or all jobs, that match a filter.

The body is the filter, with the members that the list takes as its query. ``{"everything": true}``
means all; ``dry_run=true`` in the query counts what matches, and changes nothing.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from duly.operations.bulk import BulkResult
from duly.web.api.jobs import JobFields
from duly.web.api.paging import BodyModel, DryRun
from duly.web.api.runs import RunFields
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="bulk changes")


Everything = Annotated[bool, Field(description="Change all; then no filter may be given.")]
Reason = Annotated[str, Field(min_length=1, max_length=4000)]


class RunSelection(RunFields, BodyModel):
    """Which runs to change."""

    everything: Everything = False


class DiscardSelection(RunSelection):
    """Which failed runs to give up, and why."""

    reason: Reason


class JobSelection(JobFields, BodyModel):
    """Which jobs to change."""

    everything: Everything = False


class PauseSelection(JobSelection):
    """Which jobs to pause, and why."""

    reason: Reason | None = None


class JobsChanged(BaseModel):
    """The number of jobs that were changed; with ``dry_run``, that would be changed."""

    jobs: int
    dry_run: bool


@routes.post("/runs/cancel", scope="own")
async def cancel_runs(context: Context, query: DryRun, body: RunSelection) -> BulkResult:
    """Cancel all unfinished runs that match."""
    return await context.scheduler.aio.cancel_runs(
        dry_run=query.dry_run,
        everything=body.everything,
        actor=context.actor,
        **context.own(body.filters()),
    )


@routes.post("/runs/retry", scope="own")
async def retry_runs(context: Context, query: DryRun, body: RunSelection) -> BulkResult:
    """Start all failed runs that match again; or missed or skipped ones, by ``state``."""
    return await context.scheduler.aio.retry_runs(
        dry_run=query.dry_run,
        everything=body.everything,
        actor=context.actor,
        **context.own(body.filters()),
    )


@routes.post("/runs/discard", scope="own")
async def discard_runs(context: Context, query: DryRun, body: DiscardSelection) -> BulkResult:
    """Give up all failed runs that match for good."""
    return await context.scheduler.aio.discard_runs(
        reason=body.reason,
        dry_run=query.dry_run,
        everything=body.everything,
        actor=context.actor,
        **context.own(body.filters()),
    )


@routes.post("/jobs/pause", scope="own")
async def pause_jobs(context: Context, query: DryRun, body: PauseSelection) -> JobsChanged:
    """Pause all jobs that match."""
    changed = await context.scheduler.aio.pause(
        reason=body.reason,
        dry_run=query.dry_run,
        everything=body.everything,
        actor=context.actor,
        **context.own(body.filters()),
    )
    return JobsChanged(jobs=changed, dry_run=query.dry_run)


@routes.post("/jobs/resume", scope="own")
async def resume_jobs(context: Context, query: DryRun, body: JobSelection) -> JobsChanged:
    """Resume all paused jobs that match; their ``catch_up`` decides what fell due meanwhile."""
    changed = await context.scheduler.aio.resume(
        dry_run=query.dry_run,
        everything=body.everything,
        actor=context.actor,
        **context.own(body.filters()),
    )
    return JobsChanged(jobs=changed, dry_run=query.dry_run)


@routes.post("/jobs/remove", scope="own", role="admin")
async def remove_jobs(context: Context, query: DryRun, body: JobSelection) -> JobsChanged:
    """Remove all jobs that match; 409 if others run after one of them, and nothing is removed."""
    changed = await context.scheduler.aio.remove(
        dry_run=query.dry_run,
        everything=body.everything,
        actor=context.actor,
        **context.own(body.filters()),
    )
    return JobsChanged(jobs=changed, dry_run=query.dry_run)
