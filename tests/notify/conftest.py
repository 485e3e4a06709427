"""A mail server and a web server on free ports of this machine."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from duly.model.notice import Happening, Notice
from tests.operations.conftest import START

SECRET = "a secret of 16 bytes or more"


def free_port() -> int:
    """Return a port that is free now; a server that comes back needs the same one again."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def sample(title: str = "nightly", **detail: Any) -> Notice:
    """A notice about a job that failed."""
    happening = Happening("run.failed", START, title, "a-run", detail=detail or None)
    return Notice("0190-an-id", "failures", f"job:{title}", [happening])


class MailServer:
    """A real SMTP server, which can be stopped and started again on its port.

    Args:
        answers: what it answers to each message instead of taking it.
        options: options of aiosmtpd's controller.
    """

    def __init__(self, **options: Any) -> None:
        self.port = free_port()
        self.messages: list[EmailMessage] = []
        self.answers: list[str] = []
        self._options = options
        self._controller: Controller | None = None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        message: Any = message_from_bytes(envelope.content, policy=default)
        self.messages.append(message)
        return "250 OK"

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **self._options)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


@pytest.fixture
def mail_server() -> Iterator[Callable[..., MailServer]]:
    """Starts mail servers."""
    made: list[MailServer] = []

    def start(**options: Any) -> MailServer:
        made.append(MailServer(**options))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate of ``localhost``, which signs itself."""
    folder = tmp_path_factory.mktemp("certificate")
    file = folder / "server.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    file.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return file


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def only_ana(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    """Accept one account."""
    return AuthResult(success=(data.login, data.password) == (b"ana", b"open sesame"))


class Received:
    """What a web server was sent, and what it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.url = ""


@pytest.fixture
def receiver() -> Iterator[Received]:
    """A web server that remembers what it receives."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.requests.append((self.path, dict(self.headers), body))
            self.send_response(received.status)
            for name, value in received.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}/hook?a=1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield received
        server.shutdown()
        thread.join()
