"""What users do with a job."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from pydantic import Field
from starlette.responses import Response

from duly.model.backfill import MAX_RUNS
from duly.web.api.paging import Instant, Text
from duly.web.context import Context
from duly.web.dashboard.actions.form import Action, ActionForm, redirect
from duly.web.paths import Name
from duly.web.routes import Routes

routes = Routes(tag=None)


class BackfillForm(ActionForm):
    """The period whose times run, as the page before has shown it."""

    start: Instant
    end: Instant
    limit: Annotated[int, Field(ge=1, le=MAX_RUNS)]
    force: bool = False


class QueueForm(ActionForm):
    """The queue that a job is moved to."""

    queue: Text


@routes.post("/jobs/{job_id}/run")
async def run_job(context: Context, job_id: Name, form: Action) -> Response:
    """Run a job now, and show the run."""
    run = await context.scheduler.aio.run_now(job_id, actor=context.because(form.reason))
    return redirect(context, None, "runs", run.id, done="started")


@routes.post("/jobs/{job_id}/pause")
async def pause_job(context: Context, job_id: Name, form: Action) -> Response:
    """Stop firing a job."""
    changed = await context.scheduler.aio.pause(
        job_id, reason=form.reason, actor=context.because(form.reason)
    )
    return redirect(context, form, "jobs", job_id, done="paused" if changed else "was-paused")


@routes.post("/jobs/{job_id}/resume")
async def resume_job(context: Context, job_id: Name, form: Action) -> Response:
    """Resume firing a job."""
    changed = await context.scheduler.aio.resume(job_id, actor=context.because(form.reason))
    return redirect(context, form, "jobs", job_id, done="resumed" if changed else "not-paused")


@routes.post("/jobs/{job_id}/backfill")
async def backfill_job(
    context: Context, job_id: Name, form: Annotated[BackfillForm, Form()]
) -> Response:
    """Run the nominal times of a period that did not run."""
    done = await context.scheduler.aio.backfill(
        job_id,
        form.start,
        form.end,
        limit=form.limit,
        force=form.force,
        actor=context.because(form.reason),
    )
    made = "backfilled" if done.times else "nothing-to-backfill"
    return redirect(context, None, "jobs", job_id, done=made)


@routes.post("/jobs/{job_id}/reset", role="admin")
async def reset_job(context: Context, job_id: Name, form: Action) -> Response:
    """Undo all manual edits of a job, so that its declaration in code applies again."""
    await context.scheduler.aio.reset(job_id, actor=context.because(form.reason))
    return redirect(context, form, "jobs", job_id, done="reset")


@routes.post("/jobs/{job_id}/queue", role="admin")
async def move_job(context: Context, job_id: Name, form: Annotated[QueueForm, Form()]) -> Response:
    """Move a job, and its runs that have not started, to another queue."""
    await context.scheduler.aio.edit(job_id, queue=form.queue, actor=context.because(form.reason))
    return redirect(context, form, "jobs", job_id, done="moved")


@routes.post("/jobs/{job_id}/remove", role="admin")
async def remove_job(context: Context, job_id: Name, form: Action) -> Response:
    """Remove a job, and show the others."""
    await context.scheduler.aio.remove(job_id, actor=context.because(form.reason))
    return redirect(context, None, "jobs", done="removed")
