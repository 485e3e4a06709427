"""What users do with a run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Form
from pydantic import Field
from starlette.responses import Response

from duly.errors import ArgumentsError, PayloadError
from duly.model import payload
from duly.web.api.paging import Text
from duly.web.api.runs import stored_arguments
from duly.web.context import Context
from duly.web.dashboard.actions.form import Action, ActionForm, redirect
from duly.web.dashboard.arguments_form import show_arguments_form
from duly.web.paths import Name
from duly.web.routes import Routes

routes = Routes(tag=None)


class DiscardForm(ActionForm):
    """The form to discard a run, which requires a reason."""

    reason: Annotated[Text, Field(min_length=1)]


class RetryForm(ActionForm):
    """The form to retry a run.

    Attributes:
        args: the arguments that replace the run's, as JSON.
    """

    args: Annotated[str, Field(max_length=200_000)] | None = None


@routes.post("/runs/{run_id}/cancel")
async def cancel_run(context: Context, run_id: Name, form: Action) -> Response:
    """Cancel a run."""
    await context.scheduler.aio.cancel(run_id, actor=context.because(form.reason))
    return redirect(context, form, "runs", run_id, done="cancelled")


@routes.post("/runs/{run_id}/retry")
async def retry_run(context: Context, run_id: Name, form: Annotated[RetryForm, Form()]) -> Response:
    """Retry a failed run, or run a missed or skipped one, with its arguments or with others."""
    try:
        args = await stored_arguments(context, run_id, _read(form.args))
        await context.scheduler.aio.retry(run_id, args=args, actor=context.because(form.reason))
    except (ArgumentsError, PayloadError) as error:
        return await show_arguments_form(context, run_id, form.args, str(error))
    return redirect(context, form, "runs", run_id, done="retried")


def _read(text: str | None) -> dict[str, Any] | None:
    """Return arguments that were written as JSON; ``None``: they are not changed."""
    if text is None:
        return None
    args = payload.decode(text, max_depth=payload.MAX_DEPTH)
    if not isinstance(args, dict):
        raise ArgumentsError('Arguments are a JSON object, such as {"name": "value"}.')
    return args


@routes.post("/runs/{run_id}/discard")
async def discard_run(
    context: Context, run_id: Name, form: Annotated[DiscardForm, Form()]
) -> Response:
    """Give a failed run up for good."""
    await context.scheduler.aio.discard(
        run_id, reason=form.reason, actor=context.because(form.reason)
    )
    return redirect(context, form, "runs", run_id, done="discarded")
