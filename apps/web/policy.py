"""What holds for the pages of every application: security headers, and the limits of requests."""

from __future__ import annotations

MAX_BODY = 64 * 1024
TOO_BIG = f"The body is larger than {MAX_BODY} bytes."

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}

CSRF_FIELD = "csrf"
FOREIGN = "This form has expired or came from another site. Go back, reload the page and try again."

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""The hosts to which a browser sends a cookie without TLS."""
