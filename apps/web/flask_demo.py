"""A Flask application as a part of `apps.demo`, which serves by ASGI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask
from starlette.types import ASGIApp

from duly import Scheduler

_STOP_S = 1


def as_asgi(app: Flask) -> ASGIApp:
    """Return an application that can be mounted in one that serves by ASGI."""
    wsgi: Any = app
    served: Any = WSGIMiddleware(wsgi)
    asgi: ASGIApp = served
    return asgi


def running(
    app: Flask, *, prepare: Callable[[], None] = lambda: None, seed: Callable[[], None]
) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Return what runs the scheduler of an application, which init_app has not started.

    Args:
        app: the application.
        prepare: called in its context before the scheduler starts.
        seed: called in its context afterwards; it adds the sample data.
    """
    scheduler: Scheduler = app.extensions["duly"]

    def start() -> None:
        with app.app_context():
            prepare()
            scheduler.start()
            seed()

    @contextlib.asynccontextmanager
    async def run() -> AsyncIterator[None]:
        await asyncio.to_thread(start)
        yield
        await asyncio.to_thread(scheduler.stop, _STOP_S)

    return run
