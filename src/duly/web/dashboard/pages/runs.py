"""The runs page: all runs, or those that match a search, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from duly.model.run import RUN_STATES, RunState
from duly.web.api.paging import QueryModel, Text, page
from duly.web.context import Context
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

PAGE_SIZE = 50

routes = Routes(tag=None)


class RunsPageQuery(QueryModel):
    """The query of the runs page."""

    text: Text | None = None
    state: list[RunState] = Field([], max_length=len(RUN_STATES))
    job: Text | None = None
    task: Text | None = None
    after: Text | None = None


@routes.get("/runs", scope="own")
async def show_runs(context: Context, query: Annotated[RunsPageQuery, Query()]) -> Response:
    """Show all runs, or those that match a search, newest first."""
    filters = query.model_dump(exclude={"state"})
    states = list(query.state) or None
    records = await context.scheduler.aio.runs(
        **filters, state=states, owners=context.owners, limit=PAGE_SIZE + 1
    )
    runs = page([run.redacted() for run in records], PAGE_SIZE, lambda run: run.id)
    return await render(context, "runs.html", page=runs, query=query, states=RUN_STATES)
