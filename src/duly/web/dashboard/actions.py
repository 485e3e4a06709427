"""The actions of the dashboard: forms that respond with a redirect to a page."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from duly.web.api.paging import Text
from duly.web.endpoint import Endpoints, RequestContext
from duly.web.paths import segment

endpoints = Endpoints(body_kind="form")


class Form(BaseModel):
    """The fields that every form of the dashboard may have.

    Attributes:
        reason: why the user does this.
        back: the path of the page to return to, which must be under this mount.
    """

    model_config = ConfigDict(extra="forbid")

    reason: Text | None = None
    back: Annotated[str, Field(max_length=2000)] | None = None


class DiscardForm(Form):
    """The form to discard a run, which requires a reason."""

    reason: Annotated[Text, Field(min_length=1)]


@endpoints.post("/jobs/{job_id}/run")
async def run_job(context: RequestContext, job_id: str, body: Form) -> Response:
    """Run a job now, and show the run."""
    run = await context.scheduler.aio.run_now(job_id, actor=context.actor)
    return _redirect(context, None, "runs", run.id, done="started")


@endpoints.post("/jobs/{job_id}/pause")
async def pause_job(context: RequestContext, job_id: str, body: Form) -> Response:
    """Stop firing a job."""
    changed = await context.scheduler.aio.pause(job_id, reason=body.reason, actor=context.actor)
    return _redirect(context, body, "jobs", job_id, done="paused" if changed else "was-paused")


@endpoints.post("/jobs/{job_id}/resume")
async def resume_job(context: RequestContext, job_id: str, body: Form) -> Response:
    """Resume firing a job."""
    changed = await context.scheduler.aio.resume(job_id, actor=context.actor)
    return _redirect(context, body, "jobs", job_id, done="resumed" if changed else "not-paused")


@endpoints.post("/runs/{run_id}/cancel")
async def cancel_run(context: RequestContext, run_id: str, body: Form) -> Response:
    """Cancel a run."""
    await context.scheduler.aio.cancel(run_id, actor=context.actor)
    return _redirect(context, body, "runs", run_id, done="cancelled")


@endpoints.post("/runs/{run_id}/retry")
async def retry_run(context: RequestContext, run_id: str, body: Form) -> Response:
    """Retry a failed run, or run a missed or skipped one."""
    await context.scheduler.aio.retry(run_id, actor=context.actor)
    return _redirect(context, body, "runs", run_id, done="retried")


@endpoints.post("/runs/{run_id}/discard")
async def discard_run(context: RequestContext, run_id: str, body: DiscardForm) -> Response:
    """Give a failed run up for good."""
    await context.scheduler.aio.discard(run_id, reason=body.reason, actor=context.actor)
    return _redirect(context, body, "runs", run_id, done="discarded")


@endpoints.post("/queues/{name}/pause")
async def pause_queue(context: RequestContext, name: str, body: Form) -> Response:
    """Pause a queue."""
    await context.scheduler.aio.pause_queue(name, reason=body.reason, actor=context.actor)
    return _redirect(context, body, done="queue-paused")


@endpoints.post("/queues/{name}/resume")
async def resume_queue(context: RequestContext, name: str, body: Form) -> Response:
    """Resume a queue."""
    await context.scheduler.aio.resume_queue(name, actor=context.actor)
    return _redirect(context, body, done="queue-resumed")


@endpoints.post("/scheduler/stop")
async def stop_all(context: RequestContext, body: Form) -> Response:
    """Switch the scheduler off in all workers."""
    await context.scheduler.aio.stop_all(reason=body.reason or "", actor=context.actor)
    return _redirect(context, body, done="stopped")


@endpoints.post("/scheduler/start")
async def start_all(context: RequestContext, body: Form) -> Response:
    """Switch the scheduler on again."""
    await context.scheduler.aio.start_all(actor=context.actor)
    return _redirect(context, body, done="switched-on")


def _redirect(context: RequestContext, form: Form | None, *parts: str, done: str) -> Response:
    """Redirect to the page that the form names if it is under this mount, or else to ``parts``."""
    target = form.back if form else None
    if target is None or not target.startswith(f"{context.base}/") or not _is_local(target):
        target = f"{context.base}/{'/'.join(map(segment, parts))}"
    return RedirectResponse(f"{target}{'&' if '?' in target else '?'}done={done}", 303)


def _is_local(target: str) -> bool:
    """Return whether a path stays on this host: two leading slashes of any kind start a host."""
    return target.isprintable() and target[1:2] not in ("/", "\\") and "#" not in target
