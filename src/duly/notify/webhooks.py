"""Signed webhooks as a channel."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from duly.clock import Clock, SystemClock
from duly.errors import ConfigurationError, NotDelivered
from duly.model import payload
from duly.model.checks import label
from duly.model.notice import Notice
from duly.model.version import VERSION
from duly.notify.outgoing import PORTS, PUBLIC, Restrictions, check_url, post
from duly.notify.secrets import SecretText, literal, reveal
from duly.notify.signature import key_of, signed_headers

SECRET_VARIABLE = "DULY_WEBHOOK_SECRET"  # noqa: S105 - its name, not a secret
GONE = 410


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
        body = payload.encode(notice.to_data()).encode()
        signed = signed_headers(reveal(self.secret), notice.id, body, self.clock.now())
        headers = {
            "content-type": "application/json", "user-agent": f"duly/{VERSION}",
            "idempotency-key": notice.id, **signed,
        }  # fmt: skip
        status = post(reveal(self.url), body, headers, self.allowed)
        if not 200 <= status < 300:
            raise NotDelivered(f"the webhook answered {status}", final=status == GONE)


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
