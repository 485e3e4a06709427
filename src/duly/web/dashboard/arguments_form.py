"""The form to retry a run with other arguments: a page, and the response to what is not valid."""

from __future__ import annotations

from starlette.responses import Response

from duly.model.redaction import HIDDEN
from duly.web.context import RequestContext
from duly.web.dashboard import formatting
from duly.web.dashboard.rendering import render


async def show_arguments_form(
    context: RequestContext, run_id: str, text: str | None = None, problem: str | None = None
) -> Response:
    """Return the form.

    Args:
        context: the request.
        run_id: the run's id.
        text: what the user has written; default: the run's arguments.
        problem: what is wrong with that.
    """
    run = (await context.scheduler.aio.run(run_id)).redacted()
    shown = formatting.pretty(run.args)
    return await render(
        context,
        "run_retry.html",
        refresh=None,
        http_status=422 if problem else 200,
        run=run,
        text=shown if text is None else text,
        problem=problem,
        hides=HIDDEN in shown,
    )
