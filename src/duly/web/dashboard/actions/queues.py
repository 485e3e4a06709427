"""What users do with a queue."""

from __future__ import annotations

from starlette.responses import Response

from duly.web.context import Context
from duly.web.dashboard.actions.form import Action, redirect
from duly.web.paths import Name
from duly.web.routes import Routes

routes = Routes(tag=None)


@routes.post("/queues/{name}/pause")
async def pause_queue(context: Context, name: Name, form: Action) -> Response:
    """Pause a queue."""
    await context.scheduler.aio.pause_queue(
        name, reason=form.reason, actor=context.because(form.reason)
    )
    return redirect(context, form, "workers", done="queue-paused")


@routes.post("/queues/{name}/resume")
async def resume_queue(context: Context, name: Name, form: Action) -> Response:
    """Resume a queue."""
    await context.scheduler.aio.resume_queue(name, actor=context.because(form.reason))
    return redirect(context, form, "workers", done="queue-resumed")
