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
        ConfigurationError: ``access`` cannot be called.
    """
    dashboard = LazyASGIMiddleware(web_app(scheduler, access=within_app_context(app, access)))
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {path: dashboard})  # type: ignore[method-assign]


def within_app_context(app: Flask, access: Any) -> Any:
    """The same access callable, called inside a request context of the application.

    What signs people in by itself (`duly.web.local_key`) knows nothing of Flask and stays as it is.
    """
    if not callable(access) or isinstance(access, SupportsSignIn):
        return access
    if inspect.iscoroutinefunction(access) or inspect.iscoroutinefunction(
        getattr(access, "__call__", None)  # noqa: B004 - an instance whose __call__ is async
    ):

        @functools.wraps(access)
        async def ask(request: Request) -> Any:
            with _context(app, request):
                return await access(request)

        return ask

    @functools.wraps(access)
    def ask_plainly(request: Request) -> Any:
        with _context(app, request):
            return access(request)

    return ask_plainly


class LazyASGIMiddleware:
    """An ASGI application as a WSGI one.

    Its event loop is made when the first request comes: one that was made before a fork would have
    no thread after it.

    Args:
        application: an ASGI application without a lifespan.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._inside: Any = None
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        with self._lock:
            if self._inside is None:
                self._inside = ASGIMiddleware(self._application)
        answer: Iterable[bytes] = self._inside(environ, start_response)
        return answer


def _context(app: Flask, request: Request) -> RequestContext:
    """Flask's own view of the request; its body is not there, since the dashboard reads it."""
    environ = request.scope["wsgi_environ"]
    return app.request_context({**environ, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"})
