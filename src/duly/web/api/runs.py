"""Runs."""

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
    """One page of runs.

    Attributes:
        after: ``next`` of the page before.
    """

    after: Text | None = None
    limit: Limit = 50


class RunsQuery(PageQuery):
    """Which runs; everything given must hold. ``state`` may be given several times."""

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
    """Which lines.

    Attributes:
        after: only those with a higher id.
        limit: default: all.
    """

    after: Number = 0
    limit: Limit | None = None


class Discard(BodyModel):
    """Why a failed run is given up."""

    reason: Annotated[Text, Field(min_length=1)]


@endpoints.get("/runs")
async def list_runs(context: RequestContext, query: RunsQuery) -> schemas.Page[schemas.Run]:
    """Runs, newest first."""
    wanted = query.model_dump(exclude={"limit", "state"})
    states = list(query.state) or None
    held = await context.scheduler.aio.runs(**wanted, state=states, limit=query.limit + 1)
    return page(held, query.limit, schemas.Run, lambda run: run.id)


@endpoints.get("/runs/{run_id}")
async def show_run(context: RequestContext, run_id: str) -> schemas.Run:
    """One run."""
    return schemas.Run.model_validate(await context.scheduler.aio.run(run_id))


@endpoints.get("/runs/{run_id}/log")
async def show_log(context: RequestContext, run_id: str, query: LogQuery) -> list[schemas.LogLine]:
    """What a run logged, oldest line first."""
    await context.scheduler.aio.run(run_id)
    held = await context.scheduler.aio.run_log(run_id, after=query.after, limit=query.limit)
    return [schemas.LogLine.model_validate(line) for line in held]


@endpoints.get("/runs/{run_id}/attempts")
async def list_attempts(context: RequestContext, run_id: str) -> list[schemas.Attempt]:
    """A run's unsuccessful attempts, oldest first."""
    await context.scheduler.aio.run(run_id)
    held = await context.scheduler.aio.attempts(run_id)
    return [schemas.Attempt.model_validate(record) for record in held]


@endpoints.post("/runs/{run_id}/cancel")
async def cancel_run(context: RequestContext, run_id: str) -> schemas.Run:
    """Cancel a run: at once if it has not started, else its function is asked to stop."""
    held = await context.scheduler.aio.cancel(run_id, actor=context.actor)
    return schemas.Run.model_validate(held)


@endpoints.post("/runs/{run_id}/retry")
async def retry_run(context: RequestContext, run_id: str) -> schemas.Run:
    """Start a failed, missed or skipped run again."""
    held = await context.scheduler.aio.retry(run_id, actor=context.actor)
    return schemas.Run.model_validate(held)


@endpoints.post("/runs/{run_id}/discard")
async def discard_run(context: RequestContext, run_id: str, body: Discard) -> schemas.Run:
    """Give up a failed run for good."""
    held = await context.scheduler.aio.discard(run_id, reason=body.reason, actor=context.actor)
    return schemas.Run.model_validate(held)
