"""The REST API of runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import Body, Query
from pydantic import BaseModel, Field

from duly.errors import ArgumentsError
from duly.model.page import MAX_IDS
from duly.model.redaction import HIDDEN, restore
from duly.model.run import AttemptRecord, Cause, LogLine, RunRecord, RunState
from duly.operations.filters import RunFilters
from duly.web.api import schemas
from duly.web.api.paging import BodyModel, Instant, Limit, Number, PageQuery, QueryModel, Text, page
from duly.web.context import Context, RequestContext
from duly.web.paths import API_PREFIX, Name
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="runs")


class RunFields(BaseModel):
    """Filters for runs, all of which must match. Lists may be given several times."""

    ids: list[Text] = Field([], max_length=MAX_IDS, description="Their own ids.")
    job: Text | None = None
    task: Text | None = None
    state: list[RunState] = Field([])
    cause: Cause | None = None
    queue: Text | None = None
    tag: Text | None = None
    error_type: Text | None = None
    worker: Text | None = None
    parent: Text | None = None
    unique_key: Text | None = None
    since: Annotated[Instant | None, Field(description="Created at this time or later.")] = None
    until: Annotated[Instant | None, Field(description="Created before this time.")] = None
    finished_since: Annotated[
        Instant | None, Field(description="Finished at this time or later.")
    ] = None
    finished_until: Annotated[Instant | None, Field(description="Finished before this time.")] = (
        None
    )
    text: Annotated[
        Text | None, Field(description="Part of the job's id, the task's name or the error.")
    ] = None

    def filters(self) -> RunFilters:
        """Return the filters that were given."""
        given = self.model_dump(include=set(RunFields.model_fields), exclude_unset=True)
        return cast(RunFilters, given)


class RunsQuery(RunFields, PageQuery):
    """Filters for runs, and the page to return."""

    order: Literal["newest", "oldest"] = "newest"


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


class RetryRun(BodyModel):
    """The arguments that replace the run's; default: those that it has."""

    args: dict[str, Any] | None = None


@routes.get("/runs", scope="own")
async def list_runs(
    context: Context, query: Annotated[RunsQuery, Query()]
) -> schemas.Page[RunRecord]:
    """List runs, newest first, or oldest first."""
    records = await context.scheduler.aio.runs(
        order=query.order,
        after=query.after,
        limit=query.limit + 1,
        **context.own(query.filters()),
    )
    return page(records, query.limit, lambda run: run.id)


@routes.get("/runs/{run_id}")
async def show_run(context: Context, run_id: Name) -> RunRecord:
    """Return a run."""
    return await context.scheduler.aio.run(run_id)


@routes.get("/runs/{run_id}/log")
async def show_log(
    context: Context, run_id: Name, query: Annotated[LogQuery, Query()]
) -> list[LogLine]:
    """List the log lines of a run, oldest first."""
    await context.scheduler.aio.run(run_id)
    return await context.scheduler.aio.run_log(run_id, after=query.after, limit=query.limit)


@routes.get("/runs/{run_id}/attempts")
async def list_attempts(context: Context, run_id: Name) -> list[AttemptRecord]:
    """List the unsuccessful attempts of a run, oldest first."""
    await context.scheduler.aio.run(run_id)
    return await context.scheduler.aio.attempts(run_id)


@routes.post("/runs/{run_id}/cancel")
async def cancel_run(context: Context, run_id: Name) -> RunRecord:
    """Cancel a run: at once if it has not started; otherwise its function is asked to stop."""
    return await context.scheduler.aio.cancel(run_id, actor=context.actor)


@routes.post("/runs/{run_id}/retry")
async def retry_run(
    context: Context, run_id: Name, body: Annotated[RetryRun, Body(default_factory=RetryRun)]
) -> RunRecord:
    """Retry a failed run, or run a missed or skipped one, with its arguments or with others.

    Text that is shown as ``[hidden]`` keeps its stored value if it is sent as it was shown.
    """
    args = await stored_arguments(context, run_id, body.args)
    return await context.scheduler.aio.retry(run_id, args=args, actor=context.actor)


async def stored_arguments(
    context: RequestContext, run_id: str, shown: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Return arguments that a user has edited, with what is hidden from users as it is stored.

    Raises:
        ArgumentsError: hidden text was moved or changed.
    """
    if shown is None:
        return None
    stored = (await context.scheduler.aio.run(run_id)).args
    try:
        restored: dict[str, Any] = restore(shown, stored)
    except ValueError as error:
        raise ArgumentsError(
            f"{error}: {HIDDEN} stands for text that is not shown, and keeps it only where it "
            "was; leave it there unchanged, or write the text itself"
        ) from None
    return restored


@routes.post("/runs/{run_id}/discard")
async def discard_run(context: Context, run_id: Name, body: Discard) -> RunRecord:
    """Give a failed run up for good."""
    return await context.scheduler.aio.discard(run_id, reason=body.reason, actor=context.actor)
