"""E-mail: readable as text and as HTML, encrypted, and never with a forged header."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from duly.errors import ConfigurationError, NotDelivered
from duly.model.notice import Happening, Notice
from duly.notify import Smtp, email
from duly.notify import mail as mail_module
from tests.notify.conftest import MailServer, only_ana, sample, server_context
from tests.operations.conftest import START

Start = Callable[..., MailServer]


def plain(server: MailServer) -> Smtp:
    return Smtp("127.0.0.1", "duly@example.com", server.port, "none")


def test_a_mail_can_be_read_in_every_client(mail_server: Start) -> None:
    """Text and HTML, with the id of the notice as that of the message."""
    server = mail_server()
    channel = email("ops@example.com", "ana@example.org", smtp=plain(server))
    channel.send(sample(error="ValueError", message="5 < 6 & <script>alert(1)</script>"))
    [message] = server.messages
    assert message["Subject"] == "Job nightly failed"
    assert (message["From"], message["To"]) == (
        "duly@example.com", "ops@example.com, ana@example.org",
    )  # fmt: skip
    assert message["Message-ID"] == "<0190-an-id@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "ValueError: 5 < 6 & <script>" in text
    assert "5 &lt; 6 &amp; &lt;script&gt;" in html
    assert "<script" not in html


@pytest.mark.parametrize(
    "name", ["x\r\nBcc: victim@example.net", "x\nBcc: a@b.c\n\nbody", "\u202egnp.exe", "💥" * 191]
)
def test_a_hostile_name_adds_no_header(mail_server: Start, name: str) -> None:
    """Line breaks and invisible characters do not reach the subject, whatever a name contains."""
    server = mail_server()
    happening = Happening("run.failed", START, name, detail={"reason": name})
    notice = Notice("id", f"rule {name}", "subject", [happening])
    email("ops@example.com", smtp=plain(server)).send(notice)
    [message] = server.messages
    assert message["Bcc"] is None
    assert set(message.keys()) == {
        "Subject", "From", "To", "Message-ID", "Auto-Submitted", "Duly-Rule", "MIME-Version",
        "Content-Type",
    }  # fmt: skip
    assert "\u202e" not in message["Subject"]
    assert "\n" not in message["Subject"]


@pytest.mark.parametrize("address", ["a@b.c\r\nBcc: x@y.z", "no address", "a@b@c", "<a@b.c>", ""])
def test_a_malformed_address_is_refused(address: str) -> None:
    """As recipient and as sender."""
    with pytest.raises(ConfigurationError):
        email(address)
    with pytest.raises(ConfigurationError):
        Smtp("mail.example.com", address)


def test_starttls_and_login(mail_server: Start, certificate: Path) -> None:
    """The password is sent after the connection is encrypted and the server is known."""
    server = mail_server(
        tls_context=server_context(certificate), require_starttls=True, auth_required=True,
        authenticator=only_ana,
    )  # fmt: skip

    def smtp(password: str = "open sesame", ca_file: str | None = str(certificate)) -> Smtp:
        return Smtp(
            "localhost", "duly@example.com", server.port, username="ana",
            password=lambda: password, ca_file=ca_file,
        )  # fmt: skip

    email("ops@example.com", smtp=smtp()).send(sample())
    assert len(server.messages) == 1
    with pytest.raises(NotDelivered, match="mail server") as refused:
        email("ops@example.com", smtp=smtp("wrong")).send(sample())
    assert refused.value.away
    with pytest.raises(NotDelivered, match="SSLCertVerificationError"):
        email("ops@example.com", smtp=smtp(ca_file=None)).send(sample())
    assert len(server.messages) == 1
    assert "open sesame" not in repr(smtp())


def test_tls_from_the_beginning(mail_server: Start, certificate: Path) -> None:
    """``security="tls"``."""
    server = mail_server(ssl_context=server_context(certificate))
    smtp = Smtp("localhost", "d@example.com", server.port, "tls", ca_file=str(certificate))
    email("ops@example.com", smtp=smtp).send(sample())
    assert len(server.messages) == 1


def test_nothing_is_sent_unencrypted_where_encryption_was_asked_for(mail_server: Start) -> None:
    """A server without STARTTLS, or someone in between, gets no message."""
    server = mail_server()
    smtp = Smtp("127.0.0.1", "duly@example.com", server.port)
    with pytest.raises(NotDelivered, match="SMTPNotSupportedError"):
        email("ops@example.com", smtp=smtp).send(sample())
    assert server.messages == []
    with pytest.raises(ConfigurationError, match="unencrypted"):
        Smtp("127.0.0.1", "d@example.com", security="none", username="ana", password="x")


@pytest.mark.parametrize(
    ("answer", "final"), [("550 no such mailbox", True), ("451 try again later", False)]
)
def test_only_a_permanent_refusal_is_final(mail_server: Start, answer: str, final: bool) -> None:
    """The codes of SMTP tell which is which; the server itself is not away."""
    server = mail_server()
    server.answers = [answer]
    with pytest.raises(NotDelivered, match=answer[:3]) as refused:
        email("ops@example.com", smtp=plain(server)).send(sample())
    assert (refused.value.final, refused.value.away) == (final, False)


def test_a_server_that_is_gone_is_away(mail_server: Start) -> None:
    """Other notices need not be tried."""
    server = mail_server()
    server.stop()
    with pytest.raises(NotDelivered, match="does not respond") as refused:
        email("ops@example.com", smtp=plain(server)).send(sample())
    assert refused.value.away


def test_a_server_that_answers_drop_by_drop_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for a whole message is limited, not only that for each answer."""
    monkeypatch.setattr(mail_module, "SEND_LIMIT_S", 0.3)
    ended = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while not ended.wait(0.05):
                try:
                    connection.sendall(b"2")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        smtp = Smtp("127.0.0.1", "d@example.com", listener.getsockname()[1], "none", timeout=5)
        try:
            with pytest.raises(NotDelivered) as refused:
                email("ops@example.com", smtp=smtp).send(sample())
        finally:
            ended.set()
            thread.join()
    assert refused.value.away


def test_the_environment_can_name_the_server(
    mail_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By URL, whose account is not shown anywhere."""
    server = mail_server()
    monkeypatch.setenv("DULY_SMTP_SENDER", "duly@example.com")
    monkeypatch.setenv("DULY_SMTP_URL", f"smtp+plain://127.0.0.1:{server.port}")
    email("ops@example.com").send(sample())
    assert len(server.messages) == 1
    monkeypatch.setenv("DULY_SMTP_URL", "smtps://ana:p%40ss@mail.example.com")
    smtp = Smtp.from_environment()
    assert smtp == Smtp("mail.example.com", "duly@example.com", None, "tls", "ana", "p@ss")
    for bad in ("mail.example.com", "http://x", "smtp://x:99999"):
        monkeypatch.setenv("DULY_SMTP_URL", bad)
        with pytest.raises(ConfigurationError, match="DULY_SMTP_URL must be a URL"):
            Smtp.from_environment()
