"""The REST API of the audit trail."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from duly.model.event import Event
from duly.web.api.paging import Instant, Limit, Number, QueryModel, Text, page
from duly.web.api.schemas import Page
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="events")


class EventsQuery(QueryModel):
    """Filters for events, all of which must match.

    Attributes:
        after: return only events with a greater id.
        before: return only events with a smaller id.
        newest: return the newest first; default: the oldest first.
    """

    after: Number = 0
    before: Number | None = None
    newest: bool = False
    kind: Text | None = None
    job: Text | None = None
    run: Text | None = None
    actor: Text | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: Limit = 100


@routes.get("/events", scope="own")
async def list_events(context: Context, query: Annotated[EventsQuery, Query()]) -> Page[Event]:
    """List the audit trail; continue with ``after``, or with ``before`` if newest first."""
    filters = query.model_dump(exclude={"limit"})
    records = await context.scheduler.aio.events(
        **filters, owners=context.owners, limit=query.limit + 1
    )
    return page(records, query.limit, lambda event: event.id)
