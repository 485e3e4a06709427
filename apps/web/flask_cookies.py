"""The session cookie of a Flask application, wherever the application is mounted."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface, SessionInterface

from apps.web.policy import LOOPBACK


class CookieOfMount(SessionInterface):
    """Sends the cookie to this application only, and without TLS on loopback only."""

    def get_cookie_path(self, app: Flask) -> str:
        """Return the path where the application is mounted."""
        return request.root_path or "/"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie requires TLS."""
        return urlsplit(f"//{request.host}").hostname not in LOOPBACK

    def get_cookie_samesite(self, app: Flask) -> str:
        """Return ``Lax``: forms of other sites are sent without the cookie."""
        return "Lax"


class SignedSessions(CookieOfMount, SecureCookieSessionInterface):
    """Sessions that consist of nothing but the signed cookie."""
