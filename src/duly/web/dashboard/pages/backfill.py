"""The page that runs past nominal times of a job: first it tells which, then it asks."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import AfterValidator, Field
from starlette.responses import Response

from duly.errors import ConfigurationError, StateError
from duly.model.backfill import MAX_RUNS, Backfill
from duly.model.job import JobRecord
from duly.triggers.wallclock.clock import instant
from duly.web.api.paging import QueryModel
from duly.web.context import Context, RequestContext
from duly.web.dashboard.pages.job import zone_of
from duly.web.dashboard.rendering import read_status, render
from duly.web.paths import Name
from duly.web.routes import Routes

DEFAULT_LIMIT = 1000
_WALL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)

routes = Routes(tag=None)


def _is_wall_time(text: str) -> str:
    if not _WALL.fullmatch(text):
        raise ValueError("write a time as 2026-11-03T09:00")
    datetime.fromisoformat(text)
    return text


WallTime = Annotated[str, AfterValidator(_is_wall_time)]
"""A time on the clock of the job's zone, as a field for dates and times sends it."""


class BackfillQuery(QueryModel):
    """The period to examine, on the clock of the job's zone."""

    start: WallTime | None = None
    end: WallTime | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_RUNS)] = DEFAULT_LIMIT
    force: bool = False


@routes.get("/jobs/{job_id}/backfill", role="operator")
async def show_backfill(
    context: Context, job_id: Name, query: Annotated[BackfillQuery, Query()]
) -> Response:
    """Show which nominal times of a period would run; nothing is written."""
    status = await read_status(context)
    job: JobRecord = (await context.scheduler.aio.job(job_id)).redacted()
    zone = zone_of(context, job)
    today = status.at.astimezone(zone).replace(hour=0, minute=0, second=0, tzinfo=None)
    plan, problem = await _plan(context, job_id, query, zone)
    return await render(
        context,
        "backfill.html",
        refresh=60,
        zone=zone,
        status=status,
        job=job,
        query=query,
        start=query.start or f"{today - timedelta(days=1):%Y-%m-%dT%H:%M}",
        end=query.end or f"{today:%Y-%m-%dT%H:%M}",
        max_runs=MAX_RUNS,
        plan=plan,
        problem=problem,
        unfinished=await context.scheduler.aio.unfinished(job_id),
    )


async def _plan(
    context: RequestContext, job_id: str, query: BackfillQuery, zone: ZoneInfo
) -> tuple[Backfill | None, str]:
    """Return what a backfill of the period would do, or why there can be none."""
    if query.start is None or query.end is None:
        return None, ""
    start, end = (instant(datetime.fromisoformat(text), zone) for text in (query.start, query.end))
    try:
        plan: Backfill = await context.scheduler.aio.backfill(
            job_id, start, end, dry_run=True, limit=query.limit, force=query.force
        )
    except (ConfigurationError, StateError, OverflowError) as error:
        return None, str(error)
    return plan, ""
