"""What users do with a worker."""

from __future__ import annotations

from starlette.responses import Response

from duly.web.context import Context
from duly.web.dashboard.actions.form import Action, redirect
from duly.web.paths import Name
from duly.web.routes import Routes

routes = Routes(tag=None)


@routes.post("/workers/{worker_id}/drain")
async def drain_worker(context: Context, worker_id: Name, form: Action) -> Response:
    """Let a worker finish what it executes, and take no more runs."""
    await context.scheduler.aio.drain_worker(worker_id, actor=context.because(form.reason))
    return redirect(context, form, "workers", done="draining")
