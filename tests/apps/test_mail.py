"""Mails of the applications: through a mail server, through Resend, and into a folder."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import httpx2
import pytest

from apps.mail import FolderMailer, Mail, Mailer, ResendMailer, SmtpMailer
from duly.errors import NotDelivered
from duly.notify import Smtp
from tests.apps.resend import Resend
from tests.notify.conftest import MailServer, mail_server

__all__ = ["mail_server"]

Start = Callable[..., MailServer]
MAIL = Mail("ana@example.org", "A subject", "Some text.\n", "<p>Some text.</p>")


def smtp(server: MailServer) -> SmtpMailer:
    return SmtpMailer(Smtp("127.0.0.1", "klaus@example.com", server.port, "none"))


@pytest.fixture
def resend() -> Iterator[Resend]:
    """A local server that answers as Resend does."""
    api = Resend()
    api.start()
    yield api
    api.stop()


@pytest.fixture
def mailer(resend: Resend) -> Iterator[ResendMailer]:
    """Sends mails through the local server."""
    with httpx2.Client(timeout=10) as client:
        yield ResendMailer("re_secret", resend.url, "Klaus <klaus@example.com>", client)


# ------------------------------------------------------------------------------------ smtp


def test_a_mail_arrives_as_text_and_html(mail_server: Start) -> None:
    server = mail_server()
    smtp(server).send(MAIL, "a key")
    [message] = server.messages
    assert (message["From"], message["To"]) == ("klaus@example.com", "ana@example.org")
    assert message["Subject"] == "A subject"
    assert message["Auto-Submitted"] == "auto-generated"
    assert content(message, "plain") == "Some text.\n"
    assert content(message, "html") == "<p>Some text.</p>\n"


def test_a_mail_without_html_is_plain_text(mail_server: Start) -> None:
    server = mail_server()
    smtp(server).send(Mail("ana@example.org", "A subject", "Some text.\n"), "a key")
    assert server.messages[0].get_content_type() == "text/plain"


def test_a_repetition_has_the_same_message_id(mail_server: Start) -> None:
    """And another mail another one; neither shows the key."""
    server = mail_server()
    for key in ("a key", "a key", "another key"):
        smtp(server).send(MAIL, key)
    first, again, other = (message["Message-ID"] for message in server.messages)
    assert first == again != other
    assert first.endswith("@example.com>")
    assert "key" not in first


@pytest.mark.parametrize(
    "subject",
    [
        "Fête de Noël 🎄 für Ærøskøbing", "クリスマス" * 40, "x" * 2000,
        "x\r\nBcc: eve@example.net",
        "x\nBcc: eve@example.net\n\nbody", "\u202egnp.exe", "a\x00b", "a\u2028b",
    ],
)  # fmt: skip
def test_a_subject_is_one_header(mail_server: Start, subject: str) -> None:
    """Whatever it contains: it adds no header, and what can be read of it arrives."""
    server = mail_server()
    smtp(server).send(Mail("ana@example.org", subject, "Text.", "<p>Text.</p>"), "a key")
    [message] = server.messages
    assert message["Bcc"] is None
    assert content(message, "plain") == "Text.\n"
    shown = "".join(each if each.isprintable() else " " for each in subject)
    assert message["Subject"] == " ".join(shown.split())


@pytest.mark.parametrize(
    "address",
    ["", "ana", "a@b@c", "ana@example.org, eve@example.net", "a@b.c\r\nBcc: eve@example.net",
     "<ana@example.org>", "Ana <ana@example.org>"],
)  # fmt: skip
def test_a_malformed_address_is_refused_for_good(
    mail_server: Start, mailer: ResendMailer, tmp_path: Path, address: str
) -> None:
    """A mail goes to one address, whatever a form has let through."""
    mailers: list[Mailer] = [
        smtp(mail_server()), mailer, FolderMailer(tmp_path, "klaus@example.com")
    ]  # fmt: skip
    for each in mailers:
        with pytest.raises(NotDelivered, match="not valid") as error:
            each.send(Mail(address, "A subject", "Some text."), "a key")
        assert error.value.final


@pytest.mark.parametrize(
    ("answer", "final"), [("550 no such mailbox", True), ("451 try again later", False)]
)
def test_a_refusal_says_whether_it_is_final(mail_server: Start, answer: str, final: bool) -> None:
    server = mail_server()
    server.answers = [answer]
    with pytest.raises(NotDelivered) as error:
        smtp(server).send(MAIL, "a key")
    assert error.value.final is final


def test_an_error_names_no_recipient(mail_server: Start) -> None:
    """Nor does its traceback, which is logged and stored."""
    server = mail_server()

    async def refuse(*_args: Any) -> str:
        return "550 no such mailbox"

    server.handle_RCPT = refuse  # type: ignore[attr-defined]
    with pytest.raises(NotDelivered, match="refused the recipients") as error:
        smtp(server).send(MAIL, "a key")
    assert "ana@" not in "".join(traceback.format_exception(error.value))


def test_a_server_that_is_down_is_away(mail_server: Start) -> None:
    server = mail_server()
    server.stop()
    with pytest.raises(NotDelivered) as error:
        smtp(server).send(MAIL, "a key")
    assert (error.value.away, error.value.final) == (True, False)


# ---------------------------------------------------------------------------------- resend


def test_resend_is_sent_what_its_api_asks_for(resend: Resend, mailer: ResendMailer) -> None:
    mailer.send(MAIL, "a key")
    assert resend.accepted == [
        {
            "from": "Klaus <klaus@example.com>", "to": ["ana@example.org"], "subject": "A subject",
            "text": "Some text.\n", "html": "<p>Some text.</p>",
        }
    ]  # fmt: skip
    assert resend.headers["authorization"] == "Bearer re_secret"
    assert "re_secret" not in repr(mailer)


def test_resend_takes_any_key(resend: Resend, mailer: ResendMailer) -> None:
    """It allows 256 characters of ASCII; a key of ours may be longer, and in any script."""
    for key in ("é" * 300, "é" * 300, "a\nb"):
        mailer.send(MAIL, key)
    assert len(resend.accepted) == 2


def test_resend_sends_a_repetition_once(resend: Resend, mailer: ResendMailer) -> None:
    """Also if it says something else: by then, the mail says in how many days."""
    mailer.send(MAIL, "a key")
    mailer.send(MAIL, "a key")
    mailer.send(Mail(MAIL.to, MAIL.subject, "It is tomorrow."), "a key")
    assert len(resend.accepted) == 1


@pytest.mark.parametrize(
    ("status", "final"),
    [(400, True), (422, True), (401, False), (403, False), (409, False), (429, False),
     (500, False), (503, False), (302, False)],
)  # fmt: skip
def test_resend_refuses_for_good_or_for_now(
    resend: Resend, mailer: ResendMailer, status: int, final: bool
) -> None:
    """A wrong key of the account, a limit, or an outage is no reason to give a mail up."""
    resend.status = status
    with pytest.raises(NotDelivered, match=f"Resend answered {status}") as error:
        mailer.send(MAIL, "a key")
    assert error.value.final is final


def test_resend_that_does_not_answer_is_away() -> None:
    away = ResendMailer("key", "http://127.0.0.1:9/emails", "klaus@example.com")
    with away.client, pytest.raises(NotDelivered, match="does not answer") as error:
        away.send(MAIL, "a key")
    assert (error.value.away, error.value.final) == (True, False)


def test_resend_is_asked_over_one_connection(resend: Resend, mailer: ResendMailer) -> None:
    for number in range(5):
        mailer.send(MAIL, f"key {number}")
    assert resend.connections == 1


# ---------------------------------------------------------------------------------- folder


def test_a_folder_has_one_file_for_each_key(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path / "mails", "klaus@example.com")
    for key in ("a key", "a key", "another key"):
        mailer.send(MAIL, key)
    files = list((tmp_path / "mails").iterdir())
    assert len(files) == 2
    message = message_from_bytes(files[0].read_bytes(), policy=default)
    assert message["To"] == "ana@example.org"


def content(message: EmailMessage, kind: str) -> str:
    """The body of a message as text or HTML."""
    part: Any = message.get_body((kind,))
    return str(part.get_content()).replace("\r\n", "\n")
