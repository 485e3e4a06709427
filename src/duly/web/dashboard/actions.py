"""What one may do from the pages: forms, each answered by leading back to a page."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from duly.web.api.paging import Text
from duly.web.operation import Call, Operations
from duly.web.paths import segment

operations = Operations(body_kind="form")


class Form(BaseModel):
    """What every form of the dashboard may hold.

    Attributes:
        reason: why, in the words of whoever asks.
        back: the page to lead back to, under this mount.
    """

    model_config = ConfigDict(extra="forbid")

    reason: Text | None = None
    back: Annotated[str, Field(max_length=2000)] | None = None


class DiscardForm(Form):
    """Giving up a run needs a reason."""

    reason: Annotated[Text, Field(min_length=1)]


@operations.post("/jobs/{job_id}/run")
async def run_job(call: Call, job_id: str, body: Form) -> Response:
    """Run a job now and show the run."""
    run = await call.scheduler.aio.run_now(job_id, actor=call.actor)
    return _lead(call, None, "runs", run.id, done="started")


@operations.post("/jobs/{job_id}/pause")
async def pause_job(call: Call, job_id: str, body: Form) -> Response:
    """Stop firing a job."""
    await call.scheduler.aio.pause(job_id, reason=body.reason, actor=call.actor)
    return _lead(call, body, "jobs", job_id, done="paused")


@operations.post("/jobs/{job_id}/resume")
async def resume_job(call: Call, job_id: str, body: Form) -> Response:
    """Fire a job again."""
    await call.scheduler.aio.resume(job_id, actor=call.actor)
    return _lead(call, body, "jobs", job_id, done="resumed")


@operations.post("/runs/{run_id}/cancel")
async def cancel_run(call: Call, run_id: str, body: Form) -> Response:
    """Cancel a run."""
    await call.scheduler.aio.cancel(run_id, actor=call.actor)
    return _lead(call, body, "runs", run_id, done="cancelled")


@operations.post("/runs/{run_id}/retry")
async def retry_run(call: Call, run_id: str, body: Form) -> Response:
    """Start a failed, missed or skipped run again."""
    await call.scheduler.aio.retry(run_id, actor=call.actor)
    return _lead(call, body, "runs", run_id, done="retried")


@operations.post("/runs/{run_id}/discard")
async def discard_run(call: Call, run_id: str, body: DiscardForm) -> Response:
    """Give up a failed run for good."""
    await call.scheduler.aio.discard(run_id, reason=body.reason, actor=call.actor)
    return _lead(call, body, "runs", run_id, done="discarded")


@operations.post("/queues/{name}/pause")
async def pause_queue(call: Call, name: str, body: Form) -> Response:
    """Hold back a queue."""
    await call.scheduler.aio.pause_queue(name, reason=body.reason, actor=call.actor)
    return _lead(call, body, done="queue-paused")


@operations.post("/queues/{name}/resume")
async def resume_queue(call: Call, name: str, body: Form) -> Response:
    """Let a queue go on."""
    await call.scheduler.aio.resume_queue(name, actor=call.actor)
    return _lead(call, body, done="queue-resumed")


@operations.post("/scheduler/stop")
async def stop_all(call: Call, body: Form) -> Response:
    """Switch the scheduler off in every worker."""
    await call.scheduler.aio.stop_all(reason=body.reason or "", actor=call.actor)
    return _lead(call, body, done="stopped")


@operations.post("/scheduler/start")
async def start_all(call: Call, body: Form) -> Response:
    """Switch the scheduler on again."""
    await call.scheduler.aio.start_all(actor=call.actor)
    return _lead(call, body, done="switched-on")


def _lead(call: Call, form: Form | None, *parts: str, done: str) -> Response:
    """Lead to the page that the form names, if it is one of ours, or else to this one."""
    target = form.back if form else None
    if target is None or not target.startswith(f"{call.base}/") or not _is_path(target):
        target = f"{call.base}/{'/'.join(map(segment, parts))}"
    return RedirectResponse(f"{target}{'&' if '?' in target else '?'}done={done}", 303)


def _is_path(target: str) -> bool:
    """Whether it stays on this host: with two slashes, of any kind, another's name begins."""
    return target.isprintable() and target[1:2] not in ("/", "\\") and "#" not in target
