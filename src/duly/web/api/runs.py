"""Runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from duly.model.run import RunState
from duly.web.api import shapes
from duly.web.api.paging import Asked, Limit, Number, Text, Wanted, page
from duly.web.api.prefix import PREFIX
from duly.web.operation import Call, Operations

operations = Operations(PREFIX)


class RunPage(Wanted):
    """One page of runs.

    Attributes:
        after: ``next`` of the page before.
    """

    after: Text | None = None
    limit: Limit = 50


class RunsWanted(RunPage):
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


class LogWanted(Wanted):
    """Which lines.

    Attributes:
        after: only those with a higher id.
        limit: default: all.
    """

    after: Number = 0
    limit: Limit | None = None


class Discard(Asked):
    """Why a failed run is given up."""

    reason: Annotated[Text, Field(min_length=1)]


@operations.get("/runs")
async def list_runs(call: Call, query: RunsWanted) -> shapes.Page[shapes.Run]:
    """Runs, newest first."""
    wanted = query.model_dump(exclude={"limit", "state"})
    states = list(query.state) or None
    held = await call.scheduler.aio.runs(**wanted, state=states, limit=query.limit + 1)
    return page(held, query.limit, shapes.Run, lambda run: run.id)


@operations.get("/runs/{run_id}")
async def show_run(call: Call, run_id: str) -> shapes.Run:
    """One run."""
    return shapes.Run.model_validate(await call.scheduler.aio.run(run_id))


@operations.get("/runs/{run_id}/log")
async def show_log(call: Call, run_id: str, query: LogWanted) -> list[shapes.LogLine]:
    """What a run logged, oldest line first."""
    await call.scheduler.aio.run(run_id)
    held = await call.scheduler.aio.run_log(run_id, after=query.after, limit=query.limit)
    return [shapes.LogLine.model_validate(line) for line in held]


@operations.get("/runs/{run_id}/attempts")
async def list_attempts(call: Call, run_id: str) -> list[shapes.Attempt]:
    """A run's unsuccessful attempts, oldest first."""
    await call.scheduler.aio.run(run_id)
    held = await call.scheduler.aio.attempts(run_id)
    return [shapes.Attempt.model_validate(record) for record in held]


@operations.post("/runs/{run_id}/cancel")
async def cancel_run(call: Call, run_id: str) -> shapes.Run:
    """Cancel a run: at once if it has not started, else its function is asked to stop."""
    held = await call.scheduler.aio.cancel(run_id, actor=call.actor)
    return shapes.Run.model_validate(held)


@operations.post("/runs/{run_id}/retry")
async def retry_run(call: Call, run_id: str) -> shapes.Run:
    """Start a failed, missed or skipped run again."""
    held = await call.scheduler.aio.retry(run_id, actor=call.actor)
    return shapes.Run.model_validate(held)


@operations.post("/runs/{run_id}/discard")
async def discard_run(call: Call, run_id: str, body: Discard) -> shapes.Run:
    """Give up a failed run for good."""
    held = await call.scheduler.aio.discard(run_id, reason=body.reason, actor=call.actor)
    return shapes.Run.model_validate(held)
