"""Sending mails: through an SMTP server, through Resend, or into a folder.

Each mail has a key. Whoever sends one again, because it is not known whether the first attempt
succeeded, uses the same key: Resend and the folder then keep one mail, and over SMTP both have the
same ``Message-ID``.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import httpx2

from duly.errors import NotDelivered
from duly.notify import Smtp

_LIMIT_S = 10.0
_REFUSED = (400, 413, 422)
"""The statuses by which Resend refuses a mail; others concern the account, or the moment."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person.

    Attributes:
        to: the address.
        subject: one line.
        text: the body as plain text.
        html: the same as HTML, if there is any.
    """

    to: str
    subject: str
    text: str
    html: str = ""


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
        name = _digest(key)
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
        message = _message(mail, key, self.smtp.sender)
        try:
            self.smtp.send(message)
        except NotDelivered as error:
            raise error from None  # the original names the recipient, and errors are logged


@dataclass(frozen=True, slots=True)
class ResendMailer:
    """Sends mails through the HTTP API of Resend, whose keys are valid for 24 hours.

    Attributes:
        api_key: the key of the account.
        url: the address of the API.
        sender: the address that mails come from.
        client: keeps the connections between mails.
    """

    api_key: str = field(repr=False)
    url: str
    sender: str
    client: httpx2.Client = field(
        default_factory=lambda: httpx2.Client(timeout=_LIMIT_S), repr=False, compare=False
    )

    def send(self, mail: Mail, key: str) -> None:
        """See `Mailer.send`."""
        headers = {"authorization": f"Bearer {self.api_key}", "idempotency-key": _digest(key)}
        body = {
            "from": self.sender, "to": [_address(mail.to)], "subject": _one_line(mail.subject),
            "text": mail.text, "html": mail.html or None,
        }  # fmt: skip
        try:
            answer = self.client.post(self.url, json=body, headers=headers)
        except httpx2.HTTPError as error:
            reason = f"Resend does not answer ({type(error).__name__})"
            raise NotDelivered(reason, away=True) from error
        if not answer.is_success and not _was_accepted(answer):
            status = answer.status_code
            raise NotDelivered(f"Resend answered {status}", final=status in _REFUSED)


def _was_accepted(answer: httpx2.Response) -> bool:
    """Return whether Resend accepted a mail with this key before, but with another text."""
    return answer.status_code == 409 and "invalid_idempotent_request" in answer.text


def _message(mail: Mail, key: str, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = _address(mail.to)
    message["Subject"] = _one_line(mail.subject)
    message["Message-ID"] = f"<{_digest(key)}@{sender.rpartition('@')[2].rstrip('>')}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
    return message


def is_address(text: str) -> bool:
    """Return whether mails can be sent to an address: exactly one, whose local part is ASCII."""
    try:
        Address(addr_spec=text)
    except (ValueError, IndexError, HeaderParseError):
        return False
    return True


def _address(text: str) -> str:
    """Return an address as it is.

    Raises:
        NotDelivered: it is not exactly one address, or contains a line break.
    """
    if not is_address(text):
        raise NotDelivered("the address of the recipient is not valid", final=True)
    return Address(addr_spec=text).addr_spec


def _one_line(text: str) -> str:
    """Return text as a header may contain it: without line breaks and invisible characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]
