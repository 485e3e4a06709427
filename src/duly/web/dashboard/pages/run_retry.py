"""The page to retry a run with other arguments."""

from __future__ import annotations

from starlette.responses import Response

from duly.web.context import Context
from duly.web.dashboard.arguments_form import show_arguments_form
from duly.web.paths import Name
from duly.web.routes import Routes

routes = Routes(tag=None)


@routes.get("/runs/{run_id}/retry", role="operator")
async def edit_arguments(context: Context, run_id: Name) -> Response:
    """Show the arguments of a run in a form, to retry it with others."""
    return await show_arguments_form(context, run_id)
