"""Signatures of webhooks, as the Standard Webhooks specification describes them.

Libraries for many languages verify them: https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import datetime

from duly.clock import SystemClock
from duly.errors import ConfigurationError, SignatureError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
SHORTEST_KEY = 16
TOLERANCE_S = 300.0


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for: ``whsec_`` and Base64, or any other text as it is.

    Raises:
        ConfigurationError: it is not Base64, or is shorter than 16 bytes.
    """
    try:
        encoded = secret.removeprefix(PREFIX)
        key = base64.b64decode(encoded, validate=True) if encoded != secret else secret.encode()
    except (binascii.Error, ValueError):
        raise ConfigurationError(
            "the secret of a webhook begins with whsec_, and the rest is not valid Base64"
        ) from None
    if len(key) < SHORTEST_KEY:
        raise ConfigurationError(f"the secret of a webhook needs {SHORTEST_KEY} bytes or more")
    return key


def signed_headers(secret: str, notice_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return the headers that sign a body: its id, the time, and HMAC-SHA256 over all three."""
    timestamp = str(int(at.timestamp()))
    code = _code(key_of(secret), notice_id, timestamp, body)
    return {ID: notice_id, TIMESTAMP: timestamp, SIGNATURE: f"v1,{code}"}


def verify_signature(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    *,
    tolerance: float = TOLERANCE_S,
    now: datetime | None = None,
) -> str:
    """Return the id of a webhook's notice if its signature is valid; for receivers.

    A notice that is sent again has the same id, so that a receiver can ignore what it knows.

    Args:
        headers: the headers of the request; upper and lower case make no difference.
        body: the body exactly as it was received.
        secret: the secret that the webhook was configured with.
        tolerance: seconds that the signature may be old, or ahead; default: 300.
        now: the current time as an aware datetime; default: the clock of this machine.

    Raises:
        SignatureError: a header is missing, the time is out of range, or the signature is wrong.
        ConfigurationError: the secret is not valid.
    """
    given = {name.lower(): value for name, value in headers.items()}
    missing = {ID, TIMESTAMP, SIGNATURE} - given.keys()
    if missing:
        raise SignatureError(f"the header {min(missing)} is missing")
    timestamp = given[TIMESTAMP]
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise SignatureError(f"the header {TIMESTAMP} is not a number of seconds")
    age = (now or SystemClock().now()).timestamp() - int(timestamp)
    if abs(age) > tolerance:
        raise SignatureError(f"the signature is {age:.0f} s old; {tolerance:g} s are allowed")
    expected = _code(key_of(secret), given[ID], timestamp, body)
    for signature in given[SIGNATURE].split():
        version, _, code = signature.partition(",")
        if version == "v1" and hmac.compare_digest(code.encode(), expected.encode()):
            return given[ID]
    raise SignatureError("the signature does not match the body and the secret")


def _code(key: bytes, notice_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{notice_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
