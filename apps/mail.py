"""Sending mails: through an SMTP server, through Resend, or into a folder.

Each mail has a key. Whoever sends one again, because it is not known whether the first attempt
succeeded, uses the same key: Resend and the folder then keep one mail, and over SMTP both have the
same ``Message-ID``.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import httpx2

from duly.errors import NotDelivered
from duly.notify import Smtp

_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person.

    Attributes:
        to: the address.
        subject: one line.
        text: the body as plain text.
        html: the same as HTML.
    """

    to: str
    subject: str
    text: str
    html: str


class Mailer(Protocol):
    """Sends mails."""

    def send(self, mail: Mail, key: str) -> None:
        """Send a mail, or do nothing if one with this key was accepted before.

        Raises:
            NotDelivered: it was not accepted; ``final`` if it never will be.
        """


@dataclass(frozen=True, slots=True)
class FolderMailer:
    """Writes mails into a folder, for development and tests.

    Attributes:
        folder: the folder; it is created if it does not exist.
        sender: the address that mails come from.
    """

    folder: Path
    sender: str

    def send(self, mail: Mail, key: str) -> None:
        """See `Mailer.send`."""
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f"{name}.{os.getpid()}"
        unfinished.write_bytes(bytes(_message(mail, key, self.sender)))
        unfinished.replace(self.folder / f"{name}.eml")


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """Sends mails through an SMTP server.

    Attributes:
        smtp: the server, with the address that mails come from.
    """

    smtp: Smtp

    def send(self, mail: Mail, key: str) -> None:
        """See `Mailer.send`."""
        self.smtp.send(_message(mail, key, self.smtp.sender))


@dataclass(frozen=True, slots=True)
class ResendMailer:
    """Sends mails through the HTTP API of Resend.

    Attributes:
        api_key: the key of the account.
        url: the address of the API.
        sender: the address that mails come from.
    """

    api_key: str
    url: str
    sender: str

    def send(self, mail: Mail, key: str) -> None:
        """See `Mailer.send`."""
        headers = {"authorization": f"Bearer {self.api_key}", "idempotency-key": key}
        body = {
            "from": self.sender, "to": [mail.to], "subject": mail.subject,
            "text": mail.text, "html": mail.html,
        }  # fmt: skip
        try:
            answer = httpx2.post(self.url, json=body, headers=headers, timeout=_LIMIT_S)
        except httpx2.HTTPError as error:
            reason = f"Resend does not answer ({type(error).__name__})"
            raise NotDelivered(reason, away=True) from error
        if answer.status_code >= 400:
            final = answer.status_code < 500 and answer.status_code not in (408, 409, 429)
            raise NotDelivered(f"Resend answered {answer.status_code}", final=final)


def _message(mail: Mail, key: str, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = " ".join(mail.subject.split())
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{digest}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message
