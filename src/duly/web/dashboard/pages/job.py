"""The page of a job: its definition, its next fires and its last runs."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from starlette.responses import Response

from duly.web.context import Context, RequestContext
from duly.web.dashboard.charts.outcome_bars import outcome_bars
from duly.web.dashboard.rendering import render
from duly.web.paths import Name
from duly.web.routes import Routes

MAX_FIRES = 10
MAX_BARS = 40
MAX_RUNS = 15
MAX_RANGES = 10

routes = Routes(tag=None)


@routes.get("/jobs/{job_id}")
async def show_job(context: Context, job_id: Name) -> Response:
    """Show a job: its definition, its next fires and its last runs."""
    scheduler = context.scheduler.aio
    job = (await scheduler.job(job_id)).redacted()
    fires: list[datetime] = await scheduler.next_fires(job_id, MAX_FIRES)
    found = await scheduler.runs(job=job_id, owners=context.owners, limit=MAX_BARS)
    runs = [run.redacted() for run in found]
    missed = context.own_ranges(job, await scheduler.missed(job_id, limit=MAX_RANGES))
    zone = job.trigger.to_json().get("tz") if job.trigger else None
    return await render(
        context,
        "job.html",
        refresh=2,
        job=job,
        doc=_doc(context, job.task),
        fires=fires,
        zone=ZoneInfo(zone or context.scheduler.settings.timezone),
        chart=outcome_bars(runs),
        runs=runs[:MAX_RUNS],
        missed=[record.redacted() for record in missed],
    )


def _doc(context: RequestContext, task: str) -> str | None:
    """Return the description of a task; ``None`` if it is not registered in this process."""
    registry = context.scheduler.registry
    return registry.get(task).doc if task in registry else None
