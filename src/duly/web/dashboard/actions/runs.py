"""What users do with a run."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from pydantic import Field
from starlette.responses import Response

from duly.web.api.paging import Text
from duly.web.context import Context
from duly.web.dashboard.actions.form import Action, ActionForm, redirect
from duly.web.paths import Name
from duly.web.routes import Routes

routes = Routes(tag=None)


class DiscardForm(ActionForm):
    """The form to discard a run, which requires a reason."""

    reason: Annotated[Text, Field(min_length=1)]


@routes.post("/runs/{run_id}/cancel")
async def cancel_run(context: Context, run_id: Name, form: Action) -> Response:
    """Cancel a run."""
    await context.scheduler.aio.cancel(run_id, actor=context.because(form.reason))
    return redirect(context, form, "runs", run_id, done="cancelled")


@routes.post("/runs/{run_id}/retry")
async def retry_run(context: Context, run_id: Name, form: Action) -> Response:
    """Retry a failed run, or run a missed or skipped one."""
    await context.scheduler.aio.retry(run_id, actor=context.because(form.reason))
    return redirect(context, form, "runs", run_id, done="retried")


@routes.post("/runs/{run_id}/discard")
async def discard_run(
    context: Context, run_id: Name, form: Annotated[DiscardForm, Form()]
) -> Response:
    """Give a failed run up for good."""
    await context.scheduler.aio.discard(
        run_id, reason=form.reason, actor=context.because(form.reason)
    )
    return redirect(context, form, "runs", run_id, done="discarded")
