"""A local server with the part of Resend's API that sends mails."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.notify.conftest import free_port


class Resend:
    """The stub of the API, which can be stopped and started again on its port.

    It answers as https://resend.com/docs/dashboard/emails/idempotency-keys describes.

    Attributes:
        url: the address of the API.
        accepted: the mails that it has accepted, each key once.
        requests: the keys of all requests, repetitions included.
        connections: the number of connections so far.
        headers: those of the last request, with names in lower case.
        status: what it answers to each request instead; 0: what the API would.
        known: the mail of each key.
        silent_after: the number of accepted mails after which it accepts without an answer.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/emails"
        self.accepted: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.connections = 0
        self.headers: dict[str, str] = {}
        self.status = 0
        self.known: dict[str, Any] = {}
        self.silent_after: int | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        self._stopped.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is None:
            return
        self._stopped.set()
        self._server.shutdown()
        for connection in list(self._open):
            connection.close()
        self._server.server_close()
        self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                api.connections += 1
                api._open.add(self.connection)

            def handle(self) -> None:
                with suppress(OSError, ValueError):  # the connection was cut
                    super().handle()

            def finish(self) -> None:
                api._open.discard(self.connection)
                super().finish()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, content = api._answer(headers, body)
                sent = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_args: Any) -> None:
                pass

        return Handler

    def _answer(self, headers: dict[str, str], body: Any) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.headers = headers
            if self.status:
                return self.status, {"statusCode": self.status, "name": "an_error"}
            key = headers["idempotency-key"]
            self.requests.append(key)
            known = self.known.setdefault(key, body)
            if known is body:
                self.accepted.append(body)
            elif known != body:
                return 409, {"statusCode": 409, "name": "invalid_idempotent_request"}
            silent = self.silent_after is not None and len(self.accepted) > self.silent_after
        if silent:
            self._stopped.wait()
        return 200, {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}
