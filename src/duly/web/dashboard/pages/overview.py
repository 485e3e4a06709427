"""The overview: what needs a person first, then what comes, what was, and who does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Query
from starlette.responses import RedirectResponse, Response

from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.operations.attention import Attention
from duly.operations.measures import Counts
from duly.operations.throughput import Throughput, Window
from duly.web.context import Context, RequestContext
from duly.web.dashboard.charts.throughput import OUTCOMES, throughput_chart
from duly.web.dashboard.charts.timeline import timeline
from duly.web.dashboard.links import Links
from duly.web.dashboard.pages.throughput import WINDOWS, WindowQuery
from duly.web.dashboard.rendering import read_status, render
from duly.web.routes import Routes

MAX_UPCOMING = 20
MAX_RECENT = 12
MAX_CONCERNS = 8
MAX_WORKERS = 6

REMEDIES = {"queues": (("workers",), "#queues"), "notices": (("settings", "notices"), "")}
"""Where a user solves a problem of the scheduler, by what was checked: path and fragment."""

routes = Routes(tag=None)


@routes.get("/", scope="own")
async def show_overview(context: Context, query: Annotated[WindowQuery, Query()]) -> Response:
    """Show what is late, silent or failing, the next fires, and how many runs have ended.

    It is about all jobs: who may see only some of them is led to the page of these.
    """
    if context.owners is not None:
        return RedirectResponse(Links(context.request).to("jobs"), 303)
    status = await read_status(context, brief=True)
    overview = await read_overview(context, status.at, query.window)
    return await render(
        context,
        "overview.html",
        refresh=2,
        status=status,
        overview=overview,
        problems=[each for each in overview.attention.problems if each.check != "switch"],
        timeline=timeline(overview.upcoming, status.at),
        chart=throughput_chart(overview.throughput),
        outcomes=OUTCOMES,
        max_workers=MAX_WORKERS,
        windows=WINDOWS,
        remedies=REMEDIES,
    )


@dataclass(frozen=True, slots=True)
class Overview:
    """The content of the overview.

    Attributes:
        attention: what needs a person.
        failed: the newest failed run that was not retried or discarded, if any.
        counts: the scheduler in numbers, and what waits in each queue.
        throughput: how many runs have ended in the chosen window.
        upcoming: the jobs that fire next, without those that are late.
        recent: the newest runs.
    """

    attention: Attention
    failed: list[RunRecord]
    counts: Counts
    throughput: Throughput
    upcoming: list[JobRecord]
    recent: list[RunRecord]


async def read_overview(context: RequestContext, now: datetime, window: Window) -> Overview:
    """Read the content of the overview from the scheduler."""
    scheduler = context.scheduler.aio
    upcoming = await scheduler.jobs(
        state="active", order="next_fire_at", after=(now, ""), limit=MAX_UPCOMING
    )
    return Overview(
        attention=(await scheduler.attention(limit=MAX_CONCERNS)).redacted(),
        failed=_runs(await scheduler.runs(state="failed", limit=1)),
        counts=await scheduler.counts(brief=True),
        throughput=await scheduler.throughput(window),
        upcoming=[job.redacted() for job in upcoming],
        recent=_runs(await scheduler.runs(limit=MAX_RECENT)),
    )


def _runs(records: Sequence[RunRecord]) -> list[RunRecord]:
    return [record.redacted() for record in records]
