"""The jobs page: all jobs, or those that match a filter, in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from duly.model.job import JOB_STATES, JobRecord, JobState
from duly.web.api.paging import QueryModel, Text
from duly.web.context import Context, RequestContext
from duly.web.dashboard import formatting
from duly.web.dashboard.charts.outcome_strip import OutcomeStrip, outcome_strip
from duly.web.dashboard.filters import MAX_SEARCHED, ListFilters, page_of
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

PAGE_SIZE = 50
MAX_OUTCOMES = 20

routes = Routes(tag=None)


class JobsPageQuery(QueryModel):
    """The query of the jobs page.

    Attributes:
        order: the column by which the jobs are sorted.
        after: where the page starts: after the last id of the page before; in the order of the next
            fire, after its next fire and its id.
    """

    text: Text | None = None
    state: JobState | None = None
    failing: bool = False
    tag: Text | None = None
    task: Text | None = None
    queue: Text | None = None
    owner: Text | None = None
    order: Literal["id", "next"] = "id"
    after: Annotated[str, Field(max_length=300)] | None = None

    def filters(self) -> ListFilters:
        """Return the filters that were given."""
        given = self.model_dump(exclude={"order", "after"}, exclude_defaults=True)
        if self.order == "next":  # an index has the next fires of the active ones
            given |= {"state": "active"}
        return ListFilters(given)


@routes.get("/jobs", scope="own")
async def show_jobs(context: Context, query: Annotated[JobsPageQuery, Query()]) -> Response:
    """Show all jobs, or those that match a filter."""
    scheduler, filters = context.scheduler.aio, query.filters()
    own = filters.own(context)
    found = await scheduler.jobs(
        **own,
        order="next_fire_at" if query.order == "next" else "id",
        after=_position(query),
        limit=PAGE_SIZE,
        look=MAX_SEARCHED if _is_search(query) else None,
    )
    jobs = page_of(found, _cursor(query))
    return await render(
        context,
        "jobs.html",
        page=jobs,
        query=query,
        filters=filters,
        searched=MAX_SEARCHED if found.looked else None,
        states=JOB_STATES,
        total=await _number_of_matches(context, query, own, None if jobs.next else len(jobs.items)),
        strips=await _strips(context, jobs.items),
        zones=_other_zones(context, jobs.items),
    )


def _is_search(query: JobsPageQuery) -> bool:
    """Return whether no index has the jobs that match."""
    return bool(query.text or query.task or query.queue)


def _position(query: JobsPageQuery) -> Any:
    """Return where the page starts, as the scheduler takes it.

    Raises:
        HTTPException: 422, the cursor does not fit the order.
    """
    if query.after is None or query.order == "id":
        return query.after
    moment, _, job_id = query.after.partition(" ")
    try:
        return datetime.fromisoformat(moment), job_id
    except ValueError:
        raise HTTPException(422, "In the query: after is not valid.") from None


def _cursor(query: JobsPageQuery) -> Any:
    if query.order == "id":
        return lambda job: job.id
    return lambda job: f"{job.next_fire_at.isoformat()} {job.id}"


async def _number_of_matches(
    context: RequestContext, query: JobsPageQuery, own: Mapping[str, Any], all_shown: int | None
) -> int | None:
    """Count all jobs that match, up to a bound; ``None`` if no index serves that."""
    if query.after is None and all_shown is not None:
        return all_shown
    if _is_search(query):
        return None
    return await context.scheduler.aio.count_jobs(**own)


async def _strips(
    context: RequestContext, jobs: Sequence[JobRecord]
) -> dict[str, OutcomeStrip | None]:
    """Return the last outcomes of each job as a chart."""
    ids = [job.id for job in jobs]
    found = await context.scheduler.aio.last_outcomes(
        ids, limit=MAX_OUTCOMES, owners=context.owners
    )
    return {job_id: outcome_strip(runs) if runs else None for job_id, runs in found.items()}


def _other_zones(context: RequestContext, jobs: Sequence[JobRecord]) -> dict[str, str]:
    """Return the next fire of jobs in their own time zone, where that is not the page's."""
    zone = context.scheduler.settings.timezone
    shown: dict[str, str] = {}
    for job in jobs:
        own = job.trigger.to_json().get("tz") if job.trigger else None
        if own and own != zone and job.next_fire_at:
            local = job.next_fire_at.astimezone(ZoneInfo(own))
            shown[job.id] = formatting.short_time(local, local, ZoneInfo(own)) + f" {own}"
    return shown
