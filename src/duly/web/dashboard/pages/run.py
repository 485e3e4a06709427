"""The page of a run: its state, attempts and log, and its result or error."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from duly.errors import JobNotFound, RunNotFound
from duly.model.event import Event
from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.web.context import Context, RequestContext
from duly.web.dashboard import formatting
from duly.web.dashboard.attempts import lateness, list_attempts
from duly.web.dashboard.pages.run_log import LogSearch, newest_lines
from duly.web.dashboard.rendering import read_status, render
from duly.web.dashboard.waiting import why_waiting
from duly.web.page_updates import is_update
from duly.web.paths import Name
from duly.web.routes import Routes

MAX_CHILDREN = 20
MAX_CHANGES = 20
REFRESH_RUNNING_S = 1.0
REFRESH_FINISHED_S = 10.0

routes = Routes(tag=None)


@routes.get("/runs/{run_id}")
async def show_run(
    context: Context, run_id: Name, query: Annotated[LogSearch, Query()]
) -> Response:
    """Show a run: its state, attempts and log, and its result or error.

    The log is not among what an open page updates: its script reads new lines by `show_lines`.
    """
    scheduler = context.scheduler.aio
    run = (await scheduler.run(run_id)).redacted()
    status = await read_status(context, brief=True)
    failed = [record.redacted() for record in await scheduler.attempts(run_id)]
    none = is_update(context.request)
    lines, left_out = ([], 0) if none else await newest_lines(context, run_id, query)
    attempts = list_attempts(run, failed)
    return await render(
        context,
        "run.html",
        refresh=REFRESH_FINISHED_S if run.is_terminal else REFRESH_RUNNING_S,
        eager=run.state == "running",
        status=status,
        run=run,
        attempts=attempts,
        lateness=lateness(run, attempts),
        waits=why_waiting(run, status, await _executing(context, run)),
        hosts=_hosts(context, status.workers),
        query=query,
        lines=lines,
        left_out=left_out,
        trace_id=formatting.trace_id(run.traceparent),
        **await _related(context, run),
    )


async def _executing(context: RequestContext, run: RunRecord) -> int:
    """Return the number of runs that execute in the queue in which a run waits."""
    if run.state != "ready":
        return 0
    number: int = await context.scheduler.aio.count_runs(state="running", queue=run.queue)
    return number


async def _related(context: RequestContext, run: RunRecord) -> dict[str, Any]:
    """Return what belongs to a run, as far as the user may see it."""
    scheduler = context.scheduler.aio
    found = await scheduler.runs(parent=run.id, owners=context.owners, limit=MAX_CHILDREN)
    events = await scheduler.events(run=run.id, newest=True, limit=MAX_CHANGES)
    return {
        "job": await _job_of(context, run),
        "parent": await _parent_of(context, run),
        "children": [child.redacted() for child in found],
        "more_children": found.more,
        "changes": [event.redacted() for event in events if _by_user(event)],
    }


def _by_user(event: Event) -> bool:
    return event.actor is not None


def _hosts(context: RequestContext, workers: Any) -> dict[str, str]:
    """Return the host and process of each known worker, for users who may see them."""
    if context.owners is not None:
        return {}
    return {worker.id: f"{formatting.host(worker.host)}, pid {worker.pid}" for worker in workers}


async def _parent_of(context: RequestContext, run: RunRecord) -> RunRecord | None:
    """Return the run after which a run was to run; ``None``: it was deleted, or is another's."""
    if run.parent_run_id is None:
        return None
    try:
        parent: RunRecord = (await context.scheduler.aio.run(run.parent_run_id)).redacted()
        return parent if context.principal.owns(parent.owner) else None
    except RunNotFound:
        return None


async def _job_of(context: RequestContext, run: RunRecord) -> JobRecord | None:
    """Return the job of a run; ``None`` if it was enqueued, or if its job was removed."""
    if run.job_id is None:
        return None
    try:
        job: JobRecord = (await context.scheduler.aio.job(run.job_id)).redacted()
        return job if context.principal.owns(job.owner) else None
    except JobNotFound:
        return None
