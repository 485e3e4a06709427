"""Signed webhooks: sent by an application, or as a channel."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from duly.clock import Clock, SystemClock
from duly.errors import ConfigurationError, NotDelivered
from duly.model import payload
from duly.model.checks import label, number, refuse
from duly.model.notice import Notice
from duly.model.version import VERSION
from duly.notify.outgoing import LIMIT_S, PORTS, PUBLIC, Restrictions, check_url, post
from duly.notify.secrets import SecretText, literal, reveal
from duly.notify.signature import key_of, signed_headers

SECRET_VARIABLE = "DULY_WEBHOOK_SECRET"  # noqa: S105 - its name, not a secret
GONE = 410
_seconds = number(0, 300, "more than 0 and at most 300 s", above=True)


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """Sends notices as signed JSON to a URL.

    Attributes:
        name: its name.
        url: the URL, or a function that returns it.
        secret: the key of the signature.
        allowed: where requests may go.
        clock: the clock of the signature.
    """

    name: str
    url: SecretText = field(repr=False)
    secret: SecretText = field(repr=False)
    allowed: Restrictions = PUBLIC
    clock: Clock = field(default_factory=SystemClock, compare=False, repr=False)

    def send(self, notice: Notice) -> None:
        """See `Channel.send`."""
        send_webhook(
            reveal(self.url), notice.to_data(), id=notice.id, secret=self.secret,
            allow_private=self.allowed.allow_private, ports=self.allowed.ports,
            timeout=LIMIT_S, signed_at=self.clock.now(),
        )  # fmt: skip


def send_webhook(
    url: str,
    data: Any,
    *,
    id: str,
    secret: SecretText,
    allow_private: bool = False,
    ports: Collection[int] | None = PORTS,
    timeout: float = 10.0,
    signed_at: datetime | None = None,
) -> int:
    """Send JSON to a URL that a user supplied, signed as Standard Webhooks describes.

    For an application's own webhooks: call it in a task, whose ``retry=`` repeats what fails. The
    host is checked as that of a channel; the receiver verifies the request with
    `verify_signature`, or with a library of Standard Webhooks.

    Args:
        url: an ``https://`` URL (or ``http://``).
        data: what is sent: a value that JSON can express, usually a dictionary.
        id: the id of the event, the same each time that it is sent again, by which the receiver
            recognizes it: up to 191 printable ASCII characters. It is the header ``webhook-id``,
            and ``Idempotency-Key``.
        secret: the key of the signature; see `webhook`. ``secret("NAME")`` is looked up in the
            environment.
        allow_private: whether the host may have an address that is not public.
        ports: the ports that the URL may have; ``None``: any.
        timeout: seconds for the whole request, including the name server's answer; default: 10.
        signed_at: the time of the signature as an aware datetime; default: the clock of this
            machine.

    Returns:
        The status of the answer, from 200 to 299.

    Raises:
        AddressRefused: the URL may not be requested, or redirects elsewhere.
        NotDelivered: the host does not answer, or with another ``status``. It is ``final`` if
            sending again is no use, because the address is refused or gone.
        ConfigurationError: the id, the secret or the timeout is not valid.
        PayloadError: ``data`` cannot be written as JSON.
    """
    body = payload.encode(data).encode()
    signed = signed_headers(reveal(secret), _event_id(id), body, signed_at or SystemClock().now())
    headers = {
        "content-type": "application/json", "user-agent": f"duly/{VERSION}",
        "idempotency-key": id, **signed,
    }  # fmt: skip
    limit = _seconds("timeout", timeout)
    status = post(url, body, headers, Restrictions(allow_private, ports), limit=limit)
    if not 200 <= status < 300:
        reason = f"the webhook answered {status}"
        raise NotDelivered(reason, final=status == GONE, status=status)
    return status


def check_webhook_url(
    url: str, *, allow_private: bool = False, ports: Collection[int] | None = PORTS
) -> None:
    """Refuse a URL to which `send_webhook` would not send, for the form in which it is entered.

    No name server is asked: a host whose name leads to a private address is refused when something
    is sent to it.

    Args:
        url: the URL.
        allow_private: see `send_webhook`.
        ports: see `send_webhook`.

    Raises:
        AddressRefused: the URL may not be requested; the message says why.
    """
    check_url(url, Restrictions(allow_private, ports))


def webhook(
    url: SecretText,
    *,
    secret: SecretText,
    name: str | None = None,
    allow_private: bool = False,
    ports: Collection[int] | None = PORTS,
) -> WebhookChannel:
    """Return a channel that sends notices as JSON, signed as Standard Webhooks describes.

    The receiver verifies them with `verify_signature`, or with a library of Standard Webhooks.

    Args:
        url: an ``https://`` URL (or ``http://``), ``secret("NAME")``, or a function that returns
            it. It is not stored.
        secret: the key of the signature, at least 16 bytes: ``whsec_`` and Base64, or any other
            text; ``secret("NAME")``, or a function that returns it. It is not stored.
        name: the channel's name; default: ``webhook:`` and the host, if the URL is given as text.
        allow_private: whether the host may have an address that is not public: in an intranet, or
            in a test.
        ports: the ports that the URL may have; ``None``: any.

    Raises:
        ConfigurationError: it has no name, or the secret is too short.
        AddressRefused: the URL may not be requested.
    """
    allowed = Restrictions(allow_private, ports)
    known = literal(url)
    if known is not None:
        check_url(known, allowed)
        name = name or f"webhook:{urlsplit(known).hostname}"
    if name is None:
        raise ConfigurationError("give webhook() a name='…', because its URL is not known yet")
    if literal(secret) is not None:
        key_of(reveal(secret))
    return WebhookChannel(label(191)("name", name), url, secret, allowed)


def stored_webhook(url: str) -> WebhookChannel:
    """Return the channel of a URL that a stored rule names; the environment has its secret."""
    secret = os.environ.get(SECRET_VARIABLE)
    if not secret:
        raise NotDelivered(
            f"no secret is configured for webhooks; set {SECRET_VARIABLE}", away=True
        )
    return WebhookChannel("webhook", url, secret)


def _event_id(value: str) -> str:
    """Check the id of an event, which becomes a header."""
    if not label(191)("id", value).isascii():
        raise refuse("id", value, "printable ASCII characters")
    return value
