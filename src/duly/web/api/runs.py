"""The REST API of runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from duly.model.run import RunState
from duly.web.api import schemas
from duly.web.api.paging import BodyModel, Limit, Number, QueryModel, Text, page
from duly.web.endpoint import Endpoints, RequestContext
from duly.web.paths import API_PREFIX

endpoints = Endpoints(API_PREFIX)


class PageQuery(QueryModel):
    """The page to return.

    Attributes:
        after: the member ``next`` of the previous page; default: the first page.
        limit: the largest number of items, 1 to 500; default: 50.
    """

    after: Text | None = None
    limit: Limit = 50


class RunsQuery(PageQuery):
    """Filters for runs, all of which must match. ``state`` may be given several times."""

    job: Text | None = None
    task: Text | None = None
    state: list[RunState] = Field([])
    queue: Text | None = None
    tag: Text | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    text: Text | None = None
    parent: Text | None = None


class LogQuery(QueryModel):
    """The log lines to return.

    Attributes:
        after: return only lines with a greater id.
        limit: the largest number of lines; default: no limit.
    """

    after: Number = 0
    limit: Limit | None = None


class Discard(BodyModel):
    """The reason for giving a failed run up."""

    reason: Annotated[Text, Field(min_length=1)]


@endpoints.get("/runs")
async def list_runs(context: RequestContext, query: RunsQuery) -> schemas.Page[schemas.Run]:
    """List runs, newest first."""
    filters = query.model_dump(exclude={"limit", "state"})
    states = list(query.state) or None
    records = await context.scheduler.aio.runs(**filters, state=states, limit=query.limit + 1)
    return page(records, query.limit, schemas.Run, lambda run: run.id)


@endpoints.get("/runs/{run_id}")
async def show_run(context: RequestContext, run_id: str) -> schemas.Run:
    """Return a run."""
    return schemas.Run.model_validate(await context.scheduler.aio.run(run_id))


@endpoints.get("/runs/{run_id}/log")
async def show_log(context: RequestContext, run_id: str, query: LogQuery) -> list[schemas.LogLine]:
    """List the log lines of a run, oldest first."""
    await context.scheduler.aio.run(run_id)
    lines = await context.scheduler.aio.run_log(run_id, after=query.after, limit=query.limit)
    return [schemas.LogLine.model_validate(line) for line in lines]


@endpoints.get("/runs/{run_id}/attempts")
async def list_attempts(context: RequestContext, run_id: str) -> list[schemas.Attempt]:
    """List the unsuccessful attempts of a run, oldest first."""
    await context.scheduler.aio.run(run_id)
    records = await context.scheduler.aio.attempts(run_id)
    return [schemas.Attempt.model_validate(record) for record in records]


@endpoints.post("/runs/{run_id}/cancel")
async def cancel_run(context: RequestContext, run_id: str) -> schemas.Run:
    """Cancel a run: at once if it has not started; otherwise its function is asked to stop."""
    run = await context.scheduler.aio.cancel(run_id, actor=context.actor)
    return schemas.Run.model_validate(run)


@endpoints.post("/runs/{run_id}/retry")
async def retry_run(context: RequestContext, run_id: str) -> schemas.Run:
    """Retry a failed run, or run a missed or skipped one."""
    run = await context.scheduler.aio.retry(run_id, actor=context.actor)
    return schemas.Run.model_validate(run)


@endpoints.post("/runs/{run_id}/discard")
async def discard_run(context: RequestContext, run_id: str, body: Discard) -> schemas.Run:
    """Give a failed run up for good."""
    run = await context.scheduler.aio.discard(run_id, reason=body.reason, actor=context.actor)
    return schemas.Run.model_validate(run)
