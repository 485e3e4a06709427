"""What users do with many runs at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from duly.model.run import CANCELLABLE, DISCARDABLE, RETRYABLE, RunRecord
from duly.operations.bulk import BulkResult
from duly.web.api.runs import RunFields
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

CANCEL = Wording(
    "run", "Cancel", "cancelled",
    "Those that have not started never will. The functions of running ones are asked to stop.",
    "runs-cancelled", reason="optional", danger=True,
)  # fmt: skip
RETRY = Wording(
    "run", "Retry", "retry",
    "They start again as soon as a worker is free. Most jobs allow only one unfinished run: of such"
    " a job one run is retried now, and the others stay as they are until you retry them again.",
    "runs-retried",
)  # fmt: skip
DISCARD = Wording(
    "run", "Discard", "discarded",
    "They are given up for good, and are no longer dead letters. Their history is kept.",
    "runs-discarded", reason="required", danger=True,
)  # fmt: skip


class RunsForm(RunFields, BulkForm):
    """The form that changes many runs."""


Runs = Annotated[RunsForm, Form()]


@routes.post("/bulk/runs/cancel", scope="own")
async def cancel_many_runs(context: Context, form: Runs) -> Response:
    """Cancel many runs."""
    cancel = context.scheduler.aio.cancel_runs
    return await _change(context, form, CANCEL, cancel, possible=CANCELLABLE, default=CANCELLABLE)


@routes.post("/bulk/runs/retry", scope="own")
async def retry_many_runs(context: Context, form: Runs) -> Response:
    """Retry many failed runs; missed and skipped ones, too, if they were selected."""
    retry = context.scheduler.aio.retry_runs
    return await _change(context, form, RETRY, retry, possible=RETRYABLE, default=("failed",))


@routes.post("/bulk/runs/discard", scope="own")
async def discard_many_runs(context: Context, form: Runs) -> Response:
    """Give many failed runs up for good."""
    discard = partial(context.scheduler.aio.discard_runs, reason=form.reason or "")
    return await _change(context, form, DISCARD, discard, possible=DISCARDABLE, default=DISCARDABLE)


async def _change(
    context: RequestContext,
    form: RunsForm,
    wording: Wording,
    act: Callable[..., Awaitable[BulkResult]],
    *,
    possible: Sequence[str],
    default: Sequence[str],
) -> Response:
    """Respond to a form.

    Args:
        context: the request.
        form: the form.
        wording: how the change is called.
        act: changes the runs that match a filter.
        possible: the states of runs that it can change.
        default: those that it changes of a filter that names none.
    """
    filters = chosen(form, form.filters())
    selected = filters.given.get("state", default) if form.every else possible
    filters = filters.with_states([state for state in selected if state in possible])
    own = filters.own(context)
    actor = context.because(form.reason)

    async def count() -> int:
        return (await act(dry_run=True, **own)).matched

    async def examples() -> Sequence[RunRecord]:
        return await context.scheduler.aio.runs(limit=MAX_SHOWN, **own)

    async def take(after: str | None, limit: int) -> Part:
        ids = await context.scheduler.aio.run_ids(after=after, limit=limit, **own)
        if not ids:
            return Part(None, 0)
        result = await act(actor=actor, **{**own, "ids": list(ids)})
        return Part(ids[-1] if ids.more else None, result.changed, len(ids) - result.changed)

    return await Change(wording, filters, count, examples, take).respond(context, form)
