"""What users do with many jobs at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from duly.model.job import JobRecord
from duly.web.api.jobs import JobFields
from duly.web.context import Context, RequestContext
from duly.web.dashboard.actions.bulk import (
    MAX_SHOWN,
    BulkForm,
    Change,
    Part,
    Wording,
    chosen,
)
from duly.web.routes import Routes

routes = Routes(tag=None)

PAUSE = Wording(
    "job", "Pause", "paused",
    "They will not fire until they are resumed. Runs that already exist continue.",
    "jobs-paused", reason="optional",
)  # fmt: skip
RESUME = Wording(
    "job", "Resume", "active",
    "They fire again. What fell due meanwhile runs as the catch-up option of each job says.",
    "jobs-resumed",
)  # fmt: skip
REMOVE = Wording(
    "job", "Remove", "discarded",
    "They are deleted, and their runs that have not started are cancelled. Running ones finish, and"
    " the history of runs is kept. This cannot be undone.",
    "jobs-removed", danger=True,
)  # fmt: skip


class JobsForm(JobFields, BulkForm):
    """The form that changes many jobs."""


Jobs = Annotated[JobsForm, Form()]


@routes.post("/bulk/jobs/pause", scope="own")
async def pause_many_jobs(context: Context, form: Jobs) -> Response:
    """Pause many jobs."""
    pause = partial(context.scheduler.aio.pause, reason=form.reason)
    return await _change(context, form, PAUSE, pause)


@routes.post("/bulk/jobs/resume", scope="own")
async def resume_many_jobs(context: Context, form: Jobs) -> Response:
    """Resume many jobs."""
    return await _change(context, form, RESUME, context.scheduler.aio.resume)


@routes.post("/bulk/jobs/remove", role="admin", scope="own")
async def remove_many_jobs(context: Context, form: Jobs) -> Response:
    """Remove many jobs, unless others run after one of them."""
    return await _change(context, form, REMOVE, context.scheduler.aio.remove, at_once=True)


async def _change(
    context: RequestContext,
    form: JobsForm,
    wording: Wording,
    act: Callable[..., Awaitable[int]],
    *,
    at_once: bool = False,
) -> Response:
    """Respond to a form.

    Args:
        context: the request.
        form: the form.
        wording: how the change is called.
        act: changes the jobs that match a filter.
        at_once: whether they are changed by one call, which changes all of them or none.
    """
    filters = chosen(form, form.filters())
    own = filters.own(context)
    everything = not filters
    actor = context.because(form.reason)

    async def count() -> int:
        return await act(dry_run=True, everything=everything, actor=actor, **own)

    async def examples() -> Sequence[JobRecord]:
        return await context.scheduler.aio.jobs(limit=MAX_SHOWN, **own)

    async def take(after: str | None, limit: int) -> Part:
        if at_once:
            return Part(None, await act(everything=everything, actor=actor, **own))
        ids = await context.scheduler.aio.job_ids(after=after, limit=limit, **own)
        changed = await act(actor=actor, **{**own, "ids": list(ids)}) if ids else 0
        return Part(ids[-1] if ids.more else None, changed)

    return await Change(wording, filters, count, examples, take).respond(context, form)
