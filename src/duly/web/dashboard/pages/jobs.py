"""The jobs page: all jobs, or those that match a search."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from duly.model.job import JobRecord
from duly.web.api.paging import QueryModel, Text, page
from duly.web.context import Context
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

JOB_STATES = ("active", "paused", "finished", "unresolved")
PAGE_SIZE = 50

routes = Routes(tag=None)


class JobsPageQuery(QueryModel):
    """The query of the jobs page."""

    text: Text | None = None
    state: Literal["active", "paused", "finished", "unresolved"] | None = None
    tag: Text | None = None
    task: Text | None = None
    queue: Text | None = None
    after: Text | None = None


@routes.get("/jobs", scope="own")
async def show_jobs(context: Context, query: Annotated[JobsPageQuery, Query()]) -> Response:
    """Show all jobs, or those that match a search."""
    records: list[JobRecord] = await context.scheduler.aio.jobs(
        **query.model_dump(), owners=context.owners, limit=PAGE_SIZE + 1
    )
    jobs = page([job.redacted() for job in records], PAGE_SIZE, lambda job: job.id)
    return await render(context, "jobs.html", page=jobs, query=query, states=JOB_STATES)
