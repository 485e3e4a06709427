"""The overview: problems first, then the next fires and the newest runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import Response

from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.web.context import Context, RequestContext
from duly.web.dashboard.charts.timeline import next_fire, timeline
from duly.web.dashboard.rendering import read_status, render
from duly.web.routes import Routes

LATE_AFTER = timedelta(seconds=5)
MAX_CHECKED = 100
MAX_UPCOMING = 12
MAX_RECENT = 15
MAX_PROBLEMS = 8


routes = Routes(tag=None)


@routes.get("/")
async def show_overview(context: Context) -> Response:
    """Show what is late or failing, the next fires and the newest runs."""
    status = await read_status(context)
    overview = await read_overview(context, status.at)
    return await render(
        context,
        "overview.html",
        refresh=2,
        status=status,
        overview=overview,
        timeline=timeline(overview.upcoming, status.at),
        max_problems=MAX_PROBLEMS,
    )


@dataclass(frozen=True, slots=True)
class Overview:
    """The content of the overview.

    Attributes:
        late: active jobs whose next nominal time has passed, the latest first.
        failing: jobs whose last runs failed.
        unresolved: jobs that cannot run with the deployed code.
        failed: the newest failed run that was not retried or discarded, if any.
        upcoming: the jobs that fire next.
        recent: the newest runs.
    """

    late: list[JobRecord]
    failing: list[JobRecord]
    unresolved: list[JobRecord]
    failed: list[RunRecord]
    upcoming: list[JobRecord]
    recent: list[RunRecord]


async def read_overview(context: RequestContext, now: datetime) -> Overview:
    """Read the content of the overview from the scheduler."""
    scheduler = context.scheduler.aio
    waiting = _jobs(await scheduler.jobs(state="active", order="next_fire_at", limit=MAX_CHECKED))
    late = [job for job in waiting if next_fire(job) < now - LATE_AFTER]
    return Overview(
        late=late,
        failing=_jobs(await scheduler.jobs(failing=True, limit=MAX_PROBLEMS + 1)),
        unresolved=_jobs(await scheduler.jobs(state="unresolved", limit=MAX_PROBLEMS + 1)),
        failed=_runs(await scheduler.runs(state="failed", limit=1)),
        upcoming=waiting[len(late) :][:MAX_UPCOMING],
        recent=_runs(await scheduler.runs(limit=MAX_RECENT)),
    )


def _jobs(records: Sequence[JobRecord]) -> list[JobRecord]:
    return [record.redacted() for record in records]


def _runs(records: Sequence[RunRecord]) -> list[RunRecord]:
    return [record.redacted() for record in records]
