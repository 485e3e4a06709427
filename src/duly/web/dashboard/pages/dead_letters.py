"""The page of dead letters: failed runs that wait for a person, those that are alike together."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from duly.web.api.paging import QueryModel, Text
from duly.web.context import Context
from duly.web.dashboard.messages import Messages, messages_of
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

GROUPED = 5_000
"""The number of the newest dead letters that are grouped, so that the page stays fast."""

MAX_GROUPS = 50
READ = 200
"""The number of the newest dead letters whose messages are compared."""

REFRESH_S = 10.0

routes = Routes(tag=None)


class DeadLettersPageQuery(QueryModel):
    """The query of the page of dead letters."""

    text: Text | None = None
    task: Text | None = None
    error_type: Text | None = None
    queue: Text | None = None
    tag: Text | None = None


@routes.get("/dead-letters", scope="own")
async def show_dead_letters(
    context: Context, query: Annotated[DeadLettersPageQuery, Query()]
) -> Response:
    """Show the failed runs that match a search, grouped by task, type of error and message."""
    filters: Any = {name: value for name, value in query.model_dump().items() if value is not None}
    own: Any = context.own(filters)
    scheduler = context.scheduler.aio
    groups = await scheduler.dead_letters(limit=MAX_GROUPS, newest=GROUPED, **own)
    newest = await scheduler.runs(state="failed", limit=READ, **own) if groups else []
    return await render(
        context,
        "dead_letters.html",
        refresh=REFRESH_S,
        query=query,
        filters=filters,
        groups=[group.redacted() for group in groups],
        more=groups.more,
        all_grouped=sum(group.total for group in groups) < GROUPED,
        grouped=GROUPED,
        messages=messages_of(newest),
        no_messages=Messages(),
    )
