"""Switching the scheduler off and on."""

from __future__ import annotations

from starlette.responses import Response

from duly.web.context import Context
from duly.web.dashboard.actions.form import Action, redirect
from duly.web.routes import Routes

routes = Routes(tag=None)


@routes.post("/scheduler/stop")
async def stop_all(context: Context, form: Action) -> Response:
    """Switch the scheduler off in all workers."""
    await context.scheduler.aio.stop_all(
        reason=form.reason or "", actor=context.because(form.reason)
    )
    return redirect(context, form, done="stopped")


@routes.post("/scheduler/start")
async def start_all(context: Context, form: Action) -> Response:
    """Switch the scheduler on again."""
    await context.scheduler.aio.start_all(actor=context.because(form.reason))
    return redirect(context, form, done="switched-on")
