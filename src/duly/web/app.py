"""The web application: its routes, middleware and error handlers."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from duly.errors import DulyError
from duly.scheduler import Scheduler
from duly.web import problems
from duly.web.access import Access, Guard
from duly.web.api import ENDPOINTS as API_ENDPOINTS
from duly.web.dashboard import ENDPOINTS as DASHBOARD_ENDPOINTS
from duly.web.dashboard.rendering import show_problem
from duly.web.dashboard.static_files import DashboardFiles
from duly.web.endpoint import Endpoint
from duly.web.headers import SecurityHeaders
from duly.web.paths import API_PREFIX, PreserveEncodedSlashes

ENDPOINTS: tuple[Endpoint, ...] = (*API_ENDPOINTS, *DASHBOARD_ENDPOINTS)


def web_app(scheduler: Scheduler, *, access: Access) -> Starlette:
    """Return the REST API and the dashboard of a scheduler as an ASGI application.

    Mount it in any ASGI host: ``app.mount("/duly", web_app(scheduler, access=…))``. The host
    starts and stops the scheduler.

    Args:
        scheduler: the scheduler to show and control.
        access: a function, sync or async, that returns the `Principal` who sends a request, or
            ``None`` if the sender is not signed in. For demos, use `local_key()`.

    Raises:
        ConfigurationError: ``access`` is not callable.
    """
    guard = Guard(access)
    respond_to_error = problems.error_handler(show_problem, API_PREFIX)
    return Starlette(
        routes=[
            Mount("/static", DashboardFiles(), name="static"),
            *(endpoint.route(scheduler, guard) for endpoint in ENDPOINTS),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(PreserveEncodedSlashes),
            Middleware(SignInMiddleware, guard=guard),
        ],
        exception_handlers={
            HTTPException: respond_to_error,
            DulyError: respond_to_error,
            Exception: respond_to_error,
        },
    )


class SignInMiddleware:
    """Lets the access callable respond to requests that sign their sender in."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a sign-in request; pass on any other."""
        response = self._guard.sign_in(Request(scope)) if scope["type"] == "http" else None
        await (response or self.app)(scope, receive, send)
