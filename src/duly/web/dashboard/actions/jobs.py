"""What users do with a job."""

from __future__ import annotations

from starlette.responses import Response

from duly.web.context import Context
from duly.web.dashboard.actions.form import Action, redirect
from duly.web.paths import Name
from duly.web.routes import Routes

routes = Routes(tag=None)


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
