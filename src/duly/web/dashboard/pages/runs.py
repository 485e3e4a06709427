"""The runs page: all runs, or those that match a filter, newest first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from duly.model.run import CAUSES, LIVE, RUN_STATES, TERMINAL, Cause, RunState
from duly.web.api.paging import QueryModel, Text
from duly.web.context import Context, RequestContext
from duly.web.dashboard.filters import MAX_SEARCHED, ListFilters, page_of
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

PAGE_SIZE = 50
PERIODS = {
    "1h": ("the last hour", timedelta(hours=1)),
    "24h": ("the last 24 hours", timedelta(days=1)),
    "7d": ("the last 7 days", timedelta(days=7)),
    "30d": ("the last 30 days", timedelta(days=30)),
}
"""Periods that end now, by their names in the query."""

RARE = TERMINAL - {"succeeded"}
"""The finished states that an index has, so that their runs can be counted."""

INDEXED = {"owners", "state", "job", "since", "until"}
"""The filters of runs that an index serves."""

routes = Routes(tag=None)


class RunsPageQuery(QueryModel):
    """The query of the runs page.

    Attributes:
        within: a period that ends now, in which the runs were created; instead of ``since``.
        since: created at this time or later, with an offset or in the page's time zone.
        until: created before this time.
    """

    text: Text | None = None
    state: list[RunState] = Field([], max_length=len(RUN_STATES))
    job: Text | None = None
    task: Text | None = None
    tag: Text | None = None
    queue: Text | None = None
    owner: Text | None = None
    cause: Cause | None = None
    error_type: Text | None = None
    worker: Text | None = None
    parent: Text | None = None
    within: Literal["1h", "24h", "7d", "30d"] | None = None
    since: Text | None = None
    until: Text | None = None
    after: Text | None = None

    def filters(self, now: datetime, zone: ZoneInfo) -> ListFilters:
        """Return the filters that were given.

        Args:
            now: the current time.
            zone: the page's time zone.

        Raises:
            HTTPException: 422, a time is not valid.
        """
        given = self.model_dump(
            exclude={"within", "since", "until", "after"}, exclude_defaults=True
        )
        if self.within is not None:
            given["since"] = now - PERIODS[self.within][1]
        for name, text in (("since", self.since), ("until", self.until)):
            if text is not None:
                given[name] = _moment(name, text, zone)
        return ListFilters(given)


def _moment(name: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise HTTPException(422, f"In the query: {name} is not a date and time.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


@routes.get("/runs", scope="own")
async def show_runs(context: Context, query: Annotated[RunsPageQuery, Query()]) -> Response:
    """Show all runs, or those that match a filter, newest first."""
    zone = ZoneInfo(context.scheduler.settings.timezone)
    filters = query.filters(context.scheduler.clock.now(), zone)
    own = filters.own(context)
    look = MAX_SEARCHED if _is_search(own) else None
    found = await context.scheduler.aio.runs(**own, after=query.after, limit=PAGE_SIZE, look=look)
    runs = page_of(found)
    return await render(
        context,
        "runs.html",
        page=runs,
        query=query,
        filters=filters,
        searched=MAX_SEARCHED if found.looked else None,
        states=RUN_STATES,
        causes=CAUSES,
        periods=PERIODS,
        local=_local(query, filters, zone),
        total=await _number_of_matches(context, query, own, None if runs.next else len(runs.items)),
    )


def _is_search(own: dict[str, Any]) -> bool:
    """Return whether no index has the runs that match, in their order."""
    several = any(len(own.get(name) or ()) > 1 for name in ("state", "owners"))
    return several or bool(own.keys() - INDEXED)


def _local(query: RunsPageQuery, filters: ListFilters, zone: ZoneInfo) -> dict[str, str]:
    """Return the given times as the inputs of the form show them: in the page's time zone."""
    return {
        name: filters.given[name].astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
        if getattr(query, name)
        else ""
        for name in ("since", "until")
    }


async def _number_of_matches(
    context: RequestContext, query: RunsPageQuery, own: dict[str, Any], all_shown: int | None
) -> int | None:
    """Count all runs that match, up to a bound; ``None`` if no index serves that."""
    if query.after is None and all_shown is not None:
        return all_shown
    states = set(own.get("state", ()))
    if own.keys() - INDEXED or not (states <= RARE or states <= LIVE):
        return None
    return await context.scheduler.aio.count_runs(**own)
