"""E-mail as a channel, and the mail server that sends it."""

from __future__ import annotations

import os
import re
import smtplib
import ssl
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from html import escape
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from duly.errors import ConfigurationError, NotDelivered
from duly.misuse import explains_arguments
from duly.model.checks import Check, check_fields, choice, label, number, optional, whole
from duly.model.notice import Notice
from duly.model.notice_rule import is_address
from duly.notify.channel import SEND_LIMIT_S
from duly.notify.deadline import Deadline
from duly.notify.secrets import SecretText, reveal

URL_VARIABLE, SENDER_VARIABLE = "DULY_SMTP_URL", "DULY_SMTP_SENDER"
LONGEST_SUBJECT = 150
Security = Literal["starttls", "tls", "none"]
PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}


def _sender(name: str, value: Any) -> str:
    if isinstance(value, str) and is_address(value):
        return value
    raise ConfigurationError(f"{name} is {value!r}; it must be an address such as duly@example.com")


_SMTP: dict[str, Check] = {
    "host": label(253),
    "sender": _sender,
    "port": optional(whole(1, 65_535)),
    "security": choice(*PORTS),
    "username": optional(label(255)),
    "timeout": number(0, SEND_LIMIT_S, f"more than 0 and at most {SEND_LIMIT_S:g} s", above=True),
}


@explains_arguments
@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server that takes notices.

    Args:
        host: its host name.
        sender: the address that the notices come from.
        port: its port; default: 587, with ``tls`` 465, with ``none`` 25.
        security: ``starttls``: the connection is encrypted before anything else is said; ``tls``:
            it is encrypted from the beginning; ``none``: it is not encrypted. The server's
            certificate is verified.
        username: the account, if the server asks for one.
        password: its password; ``secret("NAME")``, or a function that returns it. It is not
            stored.
        timeout: seconds that each step may take.
        ca_file: a file with the certificates to trust; default: those of the system.

    Raises:
        ConfigurationError: a value is not valid.
    """

    host: str
    sender: str
    port: int | None = None
    security: Security = "starttls"
    username: str | None = None
    password: SecretText | None = field(default=None, repr=False)
    timeout: float = 10
    ca_file: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, _SMTP, "Smtp({}=…)")
        if (self.username is None) != (self.password is None):
            raise ConfigurationError("Smtp(): give both username= and password=, or neither")
        if self.username is not None and self.security == "none":
            raise ConfigurationError(
                "Smtp(security='none') would send the password unencrypted; use starttls or tls"
            )

    @classmethod
    def from_environment(cls) -> Smtp | None:
        """Return the server that `URL_VARIABLE` names; ``None`` if the variable is not set.

        ``smtp://user:password@host:587`` uses STARTTLS, ``smtps://`` TLS, and ``smtp+plain://`` no
        encryption. `SENDER_VARIABLE` is the sender.

        Raises:
            ConfigurationError: the URL is not valid, or there is no sender.
        """
        text = os.environ.get(URL_VARIABLE)
        if not text:
            return None
        schemes: dict[str, Security] = {"smtp": "starttls", "smtps": "tls", "smtp+plain": "none"}
        try:
            url = urlsplit(text)
            host, port = url.hostname, url.port
        except ValueError:
            host = port = None
            url = urlsplit("")
        if url.scheme not in schemes or not host:
            raise ConfigurationError(
                f"{URL_VARIABLE} must be a URL such as smtp://mail.example.com"
            )
        return cls(
            host, os.environ.get(SENDER_VARIABLE, ""), port, schemes[url.scheme],
            unquote(url.username) if url.username else None,
            unquote(url.password) if url.password else None,
        )  # fmt: skip

    def send(self, message: EmailMessage) -> None:
        """Send a message.

        Raises:
            NotDelivered: the server did not take it.
        """
        with _translated(), Deadline(SEND_LIMIT_S) as deadline, self._connect(deadline) as client:
            if self.security == "starttls":
                client.starttls(context=self._context())
            if self.username is not None and self.password is not None:
                client.login(self.username, reveal(self.password))
            client.send_message(message)

    def _connect(self, deadline: Deadline) -> smtplib.SMTP:
        port = self.port or PORTS[self.security]
        if self.security == "tls":
            return _EncryptedClient(
                deadline, self.host, port, timeout=self.timeout, context=self._context()
            )
        return _Client(deadline, self.host, port, timeout=self.timeout)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)


class _Client(smtplib.SMTP):
    """A client whose deadline includes the greeting, which its constructor waits for."""

    def __init__(self, deadline: Deadline, host: str, port: int, *, timeout: float) -> None:
        deadline.watch(lambda: self.sock)
        super().__init__(host, port, timeout=timeout)


class _EncryptedClient(smtplib.SMTP_SSL):
    """A client that encrypts the connection from the beginning; see `_Client`."""

    def __init__(
        self, deadline: Deadline, host: str, port: int, *, timeout: float, context: ssl.SSLContext
    ) -> None:
        deadline.watch(lambda: self.sock)
        super().__init__(host, port, timeout=timeout, context=context)


@contextmanager
def _translated() -> Iterator[None]:
    """Translate errors of the protocol; the texts name no address, because they are logged."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted(code for code, _text in error.recipients.values())
        final = all(code >= 500 for code in codes)
        raise NotDelivered(
            f"the mail server refused the recipients ({codes})", final=final
        ) from error
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        final = error.smtp_code >= 500
        raise NotDelivered(
            f"the mail server refused the message ({error.smtp_code})", final=final
        ) from error
    except smtplib.SMTPResponseException as error:  # of the greeting, or of the login
        reason = f"the mail server answered {error.smtp_code} ({type(error).__name__})"
        raise NotDelivered(reason, away=True) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(
            f"the mail server does not respond ({type(error).__name__})", away=True
        ) from error


@dataclass(frozen=True, slots=True)
class MailChannel:
    """Sends notices to e-mail addresses.

    Attributes:
        name: its name.
        to: the addresses.
        smtp: the mail server; ``None``: the one of the environment.
    """

    name: str
    to: tuple[str, ...]
    smtp: Smtp | None = None

    def send(self, notice: Notice) -> None:
        """See `Channel.send`."""
        smtp = self.smtp or Smtp.from_environment()
        if smtp is None:
            raise NotDelivered(f"no mail server is configured; set {URL_VARIABLE}", away=True)
        smtp.send(compose(notice, smtp.sender, self.to))


def email(*to: str, smtp: Smtp | None = None, name: str | None = None) -> MailChannel:
    """Return a channel that sends e-mail.

    Args:
        to: one or more addresses; all of them see each other.
        smtp: the mail server; default: the environment's, ``DULY_SMTP_URL`` (such as
            ``smtp://user:password@mail.example.com``) and ``DULY_SMTP_SENDER``.
        name: the channel's name; default: ``email:`` and the first address.

    Raises:
        ConfigurationError: there is no address, or one is not valid.
    """
    if not to:
        raise ConfigurationError("email() has no recipient; give an address")
    addresses = tuple(_sender("email()", address) for address in to)
    return MailChannel(label(191)("name", name or f"email:{addresses[0]}"), addresses, smtp)


def compose(notice: Notice, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """Return a notice as a message of plain text and HTML."""
    message = EmailMessage()
    message["Subject"] = one_line(notice.title)
    message["From"] = Address(addr_spec=sender)
    message["To"] = [Address(addr_spec=address) for address in to]
    domain = sender.rpartition("@")[2]
    message["Message-ID"] = f"<{notice.id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Duly-Rule"] = one_line(notice.rule)
    message.set_content(notice.text)
    message.add_alternative(_html(notice), subtype="html")
    return message


def one_line(text: str) -> str:
    """Return text as a header may contain it: without line breaks and invisible characters."""
    spaced = re.sub(r"\s+", " ", text)
    shown = "".join(each for each in spaced if not unicodedata.category(each).startswith("C"))
    return shown if len(shown) <= LONGEST_SUBJECT else shown[: LONGEST_SUBJECT - 1] + "…"


def _html(notice: Notice) -> str:
    color = "#1a7f37" if notice.is_recovery else "#b35900"
    lines = "".join(f"<li>{escape(line)}</li>" for line in notice.lines)
    return (
        '<!doctype html><html><body style="font-family:sans-serif">'
        f'<h1 style="font-size:1.2em;color:{color}">{escape(notice.title)}</h1><ul>{lines}</ul>'
        f'<p style="color:#666">Rule {escape(notice.rule)}, notice {escape(notice.id)}</p>'
        "</body></html>"
    )
