"""The web application: its routes, middleware and error handlers."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from duly.errors import DulyError
from duly.scheduler import Scheduler
from duly.web import problems
from duly.web.access import Access, Guard
from duly.web.api import ROUTES as API_ROUTES
from duly.web.api_keys import ApiKeys
from duly.web.dashboard import ROUTES as DASHBOARD_ROUTES
from duly.web.dashboard.rendering import show_problem
from duly.web.dashboard.static_files import DashboardFiles
from duly.web.head import HeadAsGet
from duly.web.headers import SecurityHeaders
from duly.web.page_updates import PageUpdates
from duly.web.paths import API, PreserveEncodedSlashes
from duly.web.request_ids import RequestIds
from duly.web.routes import GuardedRoute

ROUTES: tuple[GuardedRoute, ...] = (*API_ROUTES, *DASHBOARD_ROUTES)


def web_app(scheduler: Scheduler, *, access: Access) -> FastAPI:
    """Return the REST API and the dashboard of a scheduler as an ASGI application.

    Mount it in any ASGI host: ``app.mount("/duly", web_app(scheduler, access=…))``. The host
    starts and stops the scheduler.

    Args:
        scheduler: the scheduler to show and control.
        access: a function, sync or async, that returns the `Principal` who sends a request, or
            ``None`` if the sender is not signed in. For demos, use `local_key()`. Keys that
            ``scheduler.create_key`` has created are admitted besides.

    Raises:
        ConfigurationError: ``access`` is not callable.
    """
    guard = Guard(access, ApiKeys(scheduler).principal_of)
    respond_to_error = problems.error_handler(show_problem, API)
    app = FastAPI(
        openapi_url=None,  # which is a route of its own, for signed-in users
        middleware=[
            Middleware(RequestIds),
            Middleware(SecurityHeaders),
            Middleware(HeadAsGet),
            Middleware(PreserveEncodedSlashes),
            Middleware(SignInMiddleware, guard=guard),
        ],
        exception_handlers={
            HTTPException: respond_to_error,
            RequestValidationError: respond_to_error,
            DulyError: respond_to_error,
            Exception: respond_to_error,
        },
    )
    app.state.scheduler = scheduler
    app.state.guard = guard
    app.state.page_updates = PageUpdates(scheduler.clock)
    app.router.routes.extend([Mount("/static", DashboardFiles(), name="static"), *ROUTES])
    return app


class SignInMiddleware:
    """Lets the access callable respond to requests that sign their sender in."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a sign-in request; pass on any other."""
        response = self._guard.sign_in(Request(scope)) if scope["type"] == "http" else None
        await (response or self.app)(scope, receive, send)
