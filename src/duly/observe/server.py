"""An HTTP server of metrics, for processes that serve no web application."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from duly.errors import ConfigurationError, UnknownOption
from duly.observe.metrics import Metrics

PATH = "/metrics"
SECONDS = 10.0
"""How long a client may take to send its request."""


@contextmanager
def serving(metrics: Metrics, port: int, host: str = "127.0.0.1") -> Iterator[int]:
    """Serve ``/metrics`` on a thread of its own inside the block; yield the port.

    ``?part=process`` and ``?part=database`` return one part only.

    Args:
        metrics: what to serve.
        port: the port; 0: a free one.
        host: the address to listen on; anybody who reaches it can read the metrics.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    try:
        server = make_server(host, port, _app(metrics), ThreadingWSGIServer, _Handler)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"metrics cannot be served on {host}:{port} ({error}); choose another port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="duly-metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(WSGIRequestHandler):
    timeout = SECONDS

    def log_message(self, *_args: Any) -> None:
        """Log nothing: a line for each scrape would tell nothing."""


def _app(metrics: Metrics) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return _refuse(start, "404 Not Found", f"the metrics are at {PATH}")
        part = parse_qs(environ.get("QUERY_STRING", "")).get("part", ["all"])[-1]
        try:
            registry = metrics.registry(part)
        except UnknownOption as error:
            return _refuse(start, "422 Unprocessable Content", str(error))
        answer: Iterable[bytes] = make_wsgi_app(registry)(environ, start)
        return answer

    return app


def _refuse(start: Callable[..., Any], status: str, text: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
