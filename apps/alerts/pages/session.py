"""The visitor's session: a signed cookie, and forms protected against forgery.

The cookie names the signed-in user, or a random id before the sign-in, so that the form token of
one visitor is never valid for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from fastapi import HTTPException, Request
from fastapi.responses import Response

from apps.alerts.api.access import ServicesDep, user_of
from apps.alerts.models import User
from apps.alerts.services import Services
from apps.alerts.tokens import SESSION
from apps.web.forms import is_same_origin, sent_token, set_session_cookie
from apps.web.policy import FOREIGN

COOKIE = "alerts_session"


@dataclass(frozen=True, slots=True)
class Visit:
    """The session of a browser.

    Attributes:
        id: the user's id, or a random one before the sign-in; the form token is bound to it.
        user: the signed-in user; ``None`` before the sign-in, and if the account was switched off.
    """

    id: UUID
    user: User | None = None


async def visit_of(request: Request, services: ServicesDep) -> Visit:
    """Return the session of the cookie, or a new one."""
    cookie = request.cookies.get(COOKIE, "")
    visitor = services.tokens.read("session", cookie)
    if visitor is None:
        return Visit(uuid4())
    return Visit(visitor, await user_of(services, "session", cookie))


async def checked_visit(request: Request, services: ServicesDep) -> Visit:
    """Return the session of a request that a form or script of this site sent.

    Raises:
        HTTPException: 403, the request may come from another site.
    """
    visit = await visit_of(request, services)
    token = services.tokens.read("csrf", await sent_token(request))
    if not is_same_origin(request) or token != visit.id:
        raise HTTPException(403, FOREIGN)
    return visit


def csrf_token(services: Services, visit: Visit) -> str:
    """Return the CSRF token for the forms of a session."""
    return services.tokens.issue("csrf", visit.id, SESSION)


def remember(response: Response, request: Request, services: Services, visit: Visit) -> None:
    """Set the session cookie of a response; it is valid for twelve hours from now."""
    value = services.tokens.issue("session", visit.id, SESSION)
    set_session_cookie(response, request, name=COOKIE, value=value, lifetime=SESSION)
