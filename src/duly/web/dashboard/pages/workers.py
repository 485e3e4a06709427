"""The page of workers and queues: who executes what, and what waits for whom."""

from __future__ import annotations

from starlette.responses import Response

from duly.model.run import RunRecord
from duly.web.context import Context, RequestContext
from duly.web.dashboard.faults import Faults
from duly.web.dashboard.queue_views import queue_views
from duly.web.dashboard.rendering import read_status, render
from duly.web.dashboard.worker_views import worker_views
from duly.web.routes import Routes

MAX_RUNNING = 500
"""The number of running runs that are read, the newest first."""

OWN_CHECKS = frozenset({"firing", "queues", "process jobs", "event loop", "tasks"})
"""The checks whose findings concern workers and queues; the banner shows the switch."""

routes = Routes(tag=None)


@routes.get("/workers")
async def show_workers(context: Context) -> Response:
    """Show the workers and what they execute, and the queues and what waits in them."""
    status = await read_status(context, brief=True)
    counts = await context.scheduler.aio.counts(brief=True)
    health = (await context.scheduler.aio.health()).redacted()
    running = await _running(context)
    workers = worker_views(status.workers, running, status.at)
    return await render(
        context,
        "workers.html",
        status=status,
        workers=workers,
        queues=queue_views(status, counts.queues, workers, running),
        limits=await context.scheduler.aio.limits(),
        running=len(running),
        is_bounded=len(running) == MAX_RUNNING,
        findings=[finding for finding in health.problems if finding.check in OWN_CHECKS],
        faults=Faults(),
    )


async def _running(context: RequestContext) -> list[RunRecord]:
    """Return the running runs, the newest first."""
    found = await context.scheduler.aio.runs(state="running", limit=MAX_RUNNING)
    return [run.redacted() for run in found]
