"""Jobs."""

from __future__ import annotations

from typing import Any, Literal

from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.web.api import shapes
from duly.web.api.paging import Asked, Limit, Text, Wanted, page
from duly.web.api.prefix import PREFIX
from duly.web.api.runs import RunPage
from duly.web.operation import Call, Operations
from duly.web.paths import segment

operations = Operations(PREFIX)


class JobsWanted(Wanted):
    """Which jobs; everything given must hold."""

    tag: Text | None = None
    state: Literal["active", "paused", "finished", "unresolved"] | None = None
    task: Text | None = None
    queue: Text | None = None
    text: Text | None = None
    failing: bool = False
    after: Text | None = None
    limit: Limit = 50


class FiresWanted(Wanted):
    """How many next fires."""

    count: Limit = 10


class Pause(Asked):
    """Why a job is paused."""

    reason: Text | None = None


class RunNow(Asked):
    """Other arguments than the job's own, all of them."""

    args: dict[str, Any] | None = None


@operations.get("/jobs")
async def list_jobs(call: Call, query: JobsWanted) -> shapes.Page[shapes.Job]:
    """Jobs by id."""
    wanted = query.model_dump(exclude={"limit"})
    held: list[JobRecord] = await call.scheduler.aio.jobs(**wanted, limit=query.limit + 1)
    return page(held, query.limit, shapes.Job, lambda job: job.id)


@operations.get("/jobs/{job_id}")
async def show_job(call: Call, job_id: str) -> shapes.Job:
    """One job; its revision is the ``ETag``."""
    held = shapes.Job.model_validate(await call.scheduler.aio.job(job_id))
    call.headers["ETag"] = f'"{held.revision}"'
    return held


@operations.get("/jobs/{job_id}/runs")
async def list_job_runs(call: Call, job_id: str, query: RunPage) -> shapes.Page[shapes.Run]:
    """A job's runs, newest first."""
    await call.scheduler.aio.job(job_id)
    wanted = query.model_dump(exclude={"limit"})
    held = await call.scheduler.aio.runs(job=job_id, **wanted, limit=query.limit + 1)
    return page(held, query.limit, shapes.Run, lambda run: run.id)


@operations.get("/jobs/{job_id}/next")
async def list_next_fires(call: Call, job_id: str, query: FiresWanted) -> shapes.NextFires:
    """A job's next nominal times."""
    fires = await call.scheduler.aio.next_fires(job_id, query.count)
    return shapes.NextFires(job_id=job_id, fires=fires)


@operations.get("/jobs/{job_id}/missed")
async def list_missed(call: Call, job_id: str, query: RunPage) -> list[shapes.MissedRange]:
    """The ranges of a job's nominal times that did not run, newest first."""
    await call.scheduler.aio.job(job_id)
    held = await call.scheduler.aio.missed(job_id, limit=query.limit)
    return [shapes.MissedRange.model_validate(record) for record in held]


@operations.post("/jobs/{job_id}/pause")
async def pause_job(call: Call, job_id: str, body: Pause) -> shapes.Job:
    """Stop firing a job; its runs go on."""
    await call.scheduler.aio.pause(job_id, reason=body.reason, actor=call.actor)
    return await show_job(call, job_id)


@operations.post("/jobs/{job_id}/resume")
async def resume_job(call: Call, job_id: str) -> shapes.Job:
    """Fire a job again."""
    await call.scheduler.aio.resume(job_id, actor=call.actor)
    return await show_job(call, job_id)


@operations.post("/jobs/{job_id}/run", status=202)
async def run_job(call: Call, job_id: str, body: RunNow) -> shapes.Run:
    """Run a job now, outside its schedule; 409 where its overlap policy forbids it."""
    held: RunRecord = await call.scheduler.aio.run_now(job_id, args=body.args, actor=call.actor)
    call.headers["Location"] = f"{call.base}{PREFIX}/runs/{segment(held.id)}"
    return shapes.Run.model_validate(held)
