"""Serves the dashboard and the REST API of the sample on this machine."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from duly.scheduler import Scheduler
from duly.web import local_key, web_app

SHUTDOWN_S = 3


def serve_demo(
    scheduler: Scheduler, listening: socket.socket, key: str, ready: Callable[[], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C; the scheduler runs meanwhile.

    Args:
        scheduler: the scheduler to serve.
        listening: the socket to accept connections on.
        key: the key for the dashboard and the API.
        ready: called when the scheduler runs.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with scheduler.lifespan():
            ready()
            yield

    app = Starlette(
        routes=[Mount("/", web_app(scheduler, access=local_key(key=key)))], lifespan=lifespan
    )
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_S
    )
    uvicorn.Server(config).run(sockets=[listening])
