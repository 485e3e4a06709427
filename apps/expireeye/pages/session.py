"""The visitor's session: a signed cookie, and forms protected against forgery."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from apps.expireeye import sign_ins
from apps.expireeye.api.access import ServicesDep
from apps.expireeye.models import SignIn, User
from apps.expireeye.services import Services
from apps.expireeye.tokens import SESSION
from apps.web.forms import is_same_origin, sent_token, set_session_cookie
from apps.web.policy import FOREIGN

COOKIE = "expireeye_session"


@dataclass(frozen=True, slots=True)
class Visit:
    """The session of a browser.

    Attributes:
        id: a random id, to which the CSRF token is bound; after sign-in, the id of the sign-in.
        sign_in: the sign-in; ``None`` before it, and after it has ended.
    """

    id: str
    sign_in: SignIn | None = None

    @property
    def user(self) -> User | None:
        """The signed-in user, if any."""
        return self.sign_in.user if self.sign_in else None

    @classmethod
    def new(cls) -> Visit:
        """Return a session of a visitor who is not signed in."""
        return cls(secrets.token_urlsafe(16))


async def visit_of(request: Request, services: ServicesDep) -> Visit:
    """Return the session of the cookie, or a new one."""
    claims = services.tokens.read("session", request.cookies.get(COOKIE, ""))
    if claims is None:
        return Visit.new()
    async with services.database.session() as session:
        sign_in = await sign_ins.find(session, claims["id"], services.clock.now())
    return Visit(str(claims["id"]), sign_in)


async def checked_visit(request: Request, services: ServicesDep) -> Visit:
    """Return the session of a request that a form or script of this site sent.

    Raises:
        HTTPException: 403, the request may come from another site.
    """
    visit = await visit_of(request, services)
    claims = services.tokens.read("csrf", await sent_token(request))
    if not is_same_origin(request) or claims is None or claims.get("id") != visit.id:
        raise HTTPException(403, FOREIGN)
    return visit


def csrf_token(services: Services, visit: Visit) -> str:
    """Return the CSRF token for the forms of a session."""
    return services.tokens.issue("csrf", SESSION, id=visit.id)


async def change_user(services: Services, visit: Visit, user: User | None) -> Visit:
    """End the sign-in of a session, if any, and begin one of ``user``.

    The new session has another id, which protects against session fixation.
    """
    async with services.database.begin() as session:
        if visit.sign_in is not None:
            await sign_ins.end(session, visit.sign_in.id)
        if user is None:
            return Visit.new()
        sign_in = await sign_ins.begin(session, user, services.clock.now(), SESSION)
    return Visit(sign_in.id)


async def renew(services: Services, visit: Visit) -> None:
    """Extend the sign-in of a session, at most once in ten minutes."""
    sign_in, expires_at = visit.sign_in, services.clock.now() + SESSION
    if sign_in is None or expires_at - sign_in.expires_at < sign_ins.RENEW_AFTER:
        return
    async with services.database.begin() as session:
        await sign_ins.renew(session, sign_in.id, expires_at)


def remember(response: Response, request: Request, services: Services, visit: Visit) -> None:
    """Set the session cookie of a response."""
    value = services.tokens.issue("session", SESSION, id=visit.id)
    set_session_cookie(response, request, name=COOKIE, value=value, lifetime=SESSION)
