"""The web application: what is served where."""

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
    """The REST API and the dashboard of a scheduler, to be mounted in any ASGI host.

    ``app.mount("/duly", web_app(scheduler, access=…))``. It starts and stops nothing: that is the
    host's part.

    Args:
        scheduler: what is shown and steered.
        access: says who sends a request: a `Principal`, or ``None`` for nobody who is signed in;
            sync or async. For demos: `local_key()`.

    Raises:
        ConfigurationError: ``access`` cannot be called.
    """
    guard = Guard(access)
    answer_error = problems.handler(show_problem, API_PREFIX)
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
            HTTPException: answer_error,
            DulyError: answer_error,
            Exception: answer_error,
        },
    )


class SignInMiddleware:
    """Lets the access callable answer a request that signs its sender in."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it here, or pass it on."""
        answer = self._guard.sign_in(Request(scope)) if scope["type"] == "http" else None
        await (answer or self.app)(scope, receive, send)
