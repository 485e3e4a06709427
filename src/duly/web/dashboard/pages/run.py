"""The page of a run: its state, attempts and log, and its result or error."""

from __future__ import annotations

from starlette.responses import Response

from duly.errors import JobNotFound
from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.web.context import Context, RequestContext
from duly.web.dashboard.rendering import render
from duly.web.paths import Name
from duly.web.routes import Routes

MAX_LOG_LINES = 1000
REFRESH_RUNNING_S = 1.0
REFRESH_FINISHED_S = 10.0

routes = Routes(tag=None)


@routes.get("/runs/{run_id}")
async def show_run(context: Context, run_id: Name) -> Response:
    """Show a run: its state, attempts and log, and its result or error."""
    scheduler = context.scheduler.aio
    run = (await scheduler.run(run_id)).redacted()
    lines = await scheduler.run_log(run_id)
    return await render(
        context,
        "run.html",
        refresh=REFRESH_FINISHED_S if run.is_terminal else REFRESH_RUNNING_S,
        eager=run.state == "running",
        run=run,
        job=await _job_of(context, run),
        attempts=[record.redacted() for record in await scheduler.attempts(run_id)],
        lines=[line.redacted() for line in lines[-MAX_LOG_LINES:]],
        left_out=max(0, len(lines) - MAX_LOG_LINES),
    )


async def _job_of(context: RequestContext, run: RunRecord) -> JobRecord | None:
    """Return the job of a run; ``None`` if it was enqueued, or if its job was removed."""
    if run.job_id is None:
        return None
    try:
        job: JobRecord = (await context.scheduler.aio.job(run.job_id)).redacted()
        return job if context.principal.owns(job.owner) else None
    except JobNotFound:
        return None
