"""Sessions of browsers: the cookie holds a random id, and the table its hash and what is known.

A visitor of whom nothing is known has a cookie but no row, so that reading a page writes nothing.
The token of the forms is derived from the cookie for the same reason. A row is written when it
changes, and when half of its lifetime has passed, in a transaction of its own.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, cast

from flask import Flask, Request, Response, session
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionMixin
from sqlalchemy import Connection, delete, insert, select, update
from werkzeug.datastructures import CallbackDict

from apps.sneaky_klaus.database import db, reading
from apps.sneaky_klaus.models import BrowserSession
from apps.sneaky_klaus.services import services
from apps.web.flask_cookies import CookieOfMount
from apps.web.policy import CSRF_FIELD

LIFETIME = timedelta(hours=12)
_serializer = TaggedJSONSerializer()


class Visit(CallbackDict[str, Any], SessionMixin):
    """What is known of a browser; `flask.session` is one.

    Args:
        id: the value of the cookie; default: a new one.
        data: what was stored.
        expires_at: when the stored row expires; ``None``: there is no row.

    Attributes:
        id: the value of the cookie.
        stored_id: the value under which there is a row; ``None``: there is no row.
        expires_at: when that row expires.
        has_form: whether the token of forms was read during this request.
    """

    def __init__(
        self, id: str = "", data: dict[str, Any] | None = None, expires_at: datetime | None = None
    ) -> None:
        super().__init__({**(data or {}), CSRF_FIELD: ""}, _note_change)
        self.new, self.modified, self.has_form = not id, False, False
        self.expires_at = expires_at
        self.stored_id = id if expires_at else None
        self._use(id or _new_id())

    def renew(self) -> None:
        """Use another id from now on, so that nobody else knows the one of a signed-in user."""
        self._use(_new_id())
        self.modified = True

    def __getitem__(self, key: str) -> Any:
        """Return a value; a page with the token of forms requires a cookie."""
        self.has_form |= key == CSRF_FIELD
        return super().__getitem__(key)

    @property
    def known(self) -> dict[str, Any]:
        """What is stored."""
        return {name: value for name, value in self.items() if name != CSRF_FIELD}

    def _use(self, id: str) -> None:
        self.id = id
        dict.__setitem__(self, CSRF_FIELD, _hash(f"forms {id}"))


def renew_session() -> None:
    """Give the session of the current request another id; call it at each sign-in and sign-out."""
    cast(Visit, session).renew()


class BrowserSessions(CookieOfMount):
    """Loads and stores the sessions; see `flask.sessions.SessionInterface`."""

    def open_session(self, app: Flask, request: Request) -> Visit:
        """Return the session of the cookie, or a new one."""
        cookie = request.cookies.get(self.get_cookie_name(app), "")
        if not cookie:
            return Visit()
        now = services().clock.now()
        with reading() as connection:
            row = connection.execute(
                select(BrowserSession.data, BrowserSession.expires_at)
                .where(BrowserSession.id == _hash(cookie), BrowserSession.expires_at > now)
            ).one_or_none()  # fmt: skip
        return Visit(cookie, _serializer.loads(row.data), row.expires_at) if row else Visit(cookie)

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Store what has changed, and set the cookie if it is new or its lifetime extended."""
        if _must_write(session):
            # A transaction that the view has left open would be waited for.
            db.session.rollback()
            with db.engine.begin() as connection:
                _write(connection, session)
        elif not (session.new and session.has_form):
            return
        response.set_cookie(
            self.get_cookie_name(app), session.id, max_age=LIFETIME, httponly=True,
            path=self.get_cookie_path(app), secure=self.get_cookie_secure(app),
            samesite=self.get_cookie_samesite(app),
        )  # fmt: skip


def _must_write(visit: Visit) -> bool:
    if visit.expires_at is None:
        return bool(visit.known)
    return visit.modified or visit.expires_at - services().clock.now() < LIFETIME / 2


def _write(connection: Connection, visit: Visit) -> None:
    """Store a session; one that another request has ended meanwhile stays ended."""
    if visit.stored_id is None:
        visit.renew()
    admin = visit.get("_user_id")
    values = {
        "data": _serializer.dumps(visit.known),
        "admin_id": None if admin is None else int(admin),
        "expires_at": services().clock.now() + LIFETIME,
    }
    if visit.id == visit.stored_id:
        row = BrowserSession.id == _hash(visit.id)
        connection.execute(update(BrowserSession).where(row).values(values))
        return
    if visit.stored_id is not None:
        row = BrowserSession.id == _hash(visit.stored_id)
        connection.execute(delete(BrowserSession).where(row))
    if visit.known:
        connection.execute(insert(BrowserSession).values(id=_hash(visit.id), **values))


def _note_change(visit: Any) -> None:
    visit.modified = True


def _new_id() -> str:
    return secrets.token_urlsafe(32)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
