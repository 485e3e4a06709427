"""The actions of the dashboard: forms that respond with a redirect to a page."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from duly.web.api.paging import Text
from duly.web.context import Context, RequestContext
from duly.web.paths import Name, segment
from duly.web.routes import Routes

routes = Routes(tag=None)


class ActionForm(BaseModel):
    """The fields that every form of the dashboard may have.

    Attributes:
        reason: why the user does this.
        back: the path of the page to return to, which must be under this mount.
        csrf_token: what `PageRoute` has checked.
    """

    model_config = ConfigDict(extra="forbid")

    reason: Text | None = None
    back: Annotated[str, Field(max_length=2000)] | None = None
    csrf_token: str | None = None


Action = Annotated[ActionForm, Form()]


class DiscardForm(ActionForm):
    """The form to discard a run, which requires a reason."""

    reason: Annotated[Text, Field(min_length=1)]


@routes.post("/jobs/{job_id}/run")
async def run_job(context: Context, job_id: Name, form: Action) -> Response:
    """Run a job now, and show the run."""
    run = await context.scheduler.aio.run_now(job_id, actor=context.because(form.reason))
    return _redirect(context, None, "runs", run.id, done="started")


@routes.post("/jobs/{job_id}/pause")
async def pause_job(context: Context, job_id: Name, form: Action) -> Response:
    """Stop firing a job."""
    changed = await context.scheduler.aio.pause(
        job_id, reason=form.reason, actor=context.because(form.reason)
    )
    return _redirect(context, form, "jobs", job_id, done="paused" if changed else "was-paused")


@routes.post("/jobs/{job_id}/resume")
async def resume_job(context: Context, job_id: Name, form: Action) -> Response:
    """Resume firing a job."""
    changed = await context.scheduler.aio.resume(job_id, actor=context.because(form.reason))
    return _redirect(context, form, "jobs", job_id, done="resumed" if changed else "not-paused")


@routes.post("/runs/{run_id}/cancel")
async def cancel_run(context: Context, run_id: Name, form: Action) -> Response:
    """Cancel a run."""
    await context.scheduler.aio.cancel(run_id, actor=context.because(form.reason))
    return _redirect(context, form, "runs", run_id, done="cancelled")


@routes.post("/runs/{run_id}/retry")
async def retry_run(context: Context, run_id: Name, form: Action) -> Response:
    """Retry a failed run, or run a missed or skipped one."""
    await context.scheduler.aio.retry(run_id, actor=context.because(form.reason))
    return _redirect(context, form, "runs", run_id, done="retried")


@routes.post("/runs/{run_id}/discard")
async def discard_run(
    context: Context, run_id: Name, form: Annotated[DiscardForm, Form()]
) -> Response:
    """Give a failed run up for good."""
    await context.scheduler.aio.discard(
        run_id, reason=form.reason, actor=context.because(form.reason)
    )
    return _redirect(context, form, "runs", run_id, done="discarded")


@routes.post("/queues/{name}/pause")
async def pause_queue(context: Context, name: Name, form: Action) -> Response:
    """Pause a queue."""
    await context.scheduler.aio.pause_queue(
        name, reason=form.reason, actor=context.because(form.reason)
    )
    return _redirect(context, form, done="queue-paused")


@routes.post("/queues/{name}/resume")
async def resume_queue(context: Context, name: Name, form: Action) -> Response:
    """Resume a queue."""
    await context.scheduler.aio.resume_queue(name, actor=context.because(form.reason))
    return _redirect(context, form, done="queue-resumed")


@routes.post("/scheduler/stop")
async def stop_all(context: Context, form: Action) -> Response:
    """Switch the scheduler off in all workers."""
    await context.scheduler.aio.stop_all(
        reason=form.reason or "", actor=context.because(form.reason)
    )
    return _redirect(context, form, done="stopped")


@routes.post("/scheduler/start")
async def start_all(context: Context, form: Action) -> Response:
    """Switch the scheduler on again."""
    await context.scheduler.aio.start_all(actor=context.because(form.reason))
    return _redirect(context, form, done="switched-on")


def _redirect(context: RequestContext, form: ActionForm | None, *parts: str, done: str) -> Response:
    """Redirect to the page that the form names if it is under this mount, or else to ``parts``."""
    target = form.back if form else None
    if target is None or not target.startswith(f"{context.base}/") or not _is_local(target):
        target = f"{context.base}/{'/'.join(map(segment, parts))}"
    return RedirectResponse(f"{target}{'&' if '?' in target else '?'}done={done}", 303)


def _is_local(target: str) -> bool:
    """Return whether a path stays on this host: two leading slashes of any kind start a host."""
    return target.isprintable() and target[1:2] not in ("/", "\\") and "#" not in target
