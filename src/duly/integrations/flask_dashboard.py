"""The dashboard inside a Flask application."""

from __future__ import annotations

import functools
import inspect
import io
import threading
from collections.abc import Iterable
from typing import Any

from a2wsgi import ASGIMiddleware
from flask import Flask
from flask.ctx import RequestContext
from starlette.requests import Request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from duly.scheduler import Scheduler
from duly.web import web_app
from duly.web.access import Access, SupportsSignIn


def mount(app: Flask, scheduler: Scheduler, path: str, access: Access) -> None:
    """Serve the dashboard and the REST API under a path of the application.

    Raises:
        ConfigurationError: ``access`` is not callable.
    """
    dashboard = LazyASGIMiddleware(web_app(scheduler, access=within_app_context(app, access)))
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {path: dashboard})  # type: ignore[method-assign]


def within_app_context(app: Flask, access: Any) -> Any:
    """Return an access callable that is called in a request context of the application.

    Callables that sign users in themselves (`duly.web.local_key`) do not use Flask, so they are
    returned unchanged.
    """
    if not callable(access) or isinstance(access, SupportsSignIn):
        return access
    if inspect.iscoroutinefunction(access) or inspect.iscoroutinefunction(
        getattr(access, "__call__", None)  # noqa: B004 - an instance whose __call__ is async
    ):

        @functools.wraps(access)
        async def access_in_context(request: Request) -> Any:
            with _context(app, request):
                return await access(request)

        return access_in_context

    @functools.wraps(access)
    def access_in_context_sync(request: Request) -> Any:
        with _context(app, request):
            return access(request)

    return access_in_context_sync


class LazyASGIMiddleware:
    """Runs an ASGI application as a WSGI application.

    Its event loop is created at the first request, because the thread of an event loop does not
    survive a fork.

    Args:
        application: an ASGI application without a lifespan.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._middleware: Any = None
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Handle a request."""
        with self._lock:
            if self._middleware is None:
                self._middleware = ASGIMiddleware(self._application)
        response: Iterable[bytes] = self._middleware(environ, start_response)
        return response


def _context(app: Flask, request: Request) -> RequestContext:
    """Return Flask's context of a request, without the body, which the dashboard reads."""
    environ = request.scope["wsgi_environ"]
    return app.request_context({**environ, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"})
