"""Web applications served by a thread of this process: tests need not wait for a new process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from werkzeug.serving import make_server

from tests.support.waiting import wait_until

STREAMS_END_S = 1
POLL_S = 0.02


@contextmanager
def serve_asgi(app: Callable[..., Any]) -> Iterator[str]:
    """Serve an ASGI application, with its lifespan, for the body of a ``with`` statement.

    Yields:
        The address, without a trailing slash.

    Raises:
        RuntimeError: the application did not start.
    """
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=STREAMS_END_S
    )
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        wait_until(lambda: server.started or not thread.is_alive(), what="the server")
        if not server.started:
            raise RuntimeError("the application did not start; its log says why")
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serve_wsgi(app: Callable[..., Any]) -> Iterator[str]:
    """Serve a WSGI application, a thread for each request, for the body of a ``with`` statement.

    Yields:
        The address, without a trailing slash.
    """
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
