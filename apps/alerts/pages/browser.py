"""The visitor of a page: the session, and the responses that it can receive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, HTTPException, Request
from fastapi.responses import Response
from sqlalchemy import func, select

from apps.alerts.api.access import ServicesDep
from apps.alerts.models import Notice, User
from apps.alerts.pages import formatting
from apps.alerts.pages.session import Visit, checked_visit, csrf_token, remember, visit_of
from apps.alerts.services import Services
from apps.web.page import Page, SignInFirst, templates_in

FOLDER = Path(__file__).parent

templates = templates_in(FOLDER)
templates.globals["formatting"] = formatting


class Browser(Page):
    """A request for a page, and the possible responses."""

    def __init__(self, request: Request, services: Services, visit: Visit) -> None:
        super().__init__(request, templates)
        self.services = services
        self.visit = visit

    @property
    def user(self) -> User:
        """The signed-in user.

        Raises:
            SignInFirst: the visitor is not signed in.
        """
        if self.visit.user is None:
            raise SignInFirst
        return self.visit.user

    @property
    def admin(self) -> User:
        """The signed-in user, who must be an admin.

        Raises:
            SignInFirst: the visitor is not signed in.
            HTTPException: 403, the user is not an admin.
        """
        if self.user.role != "admin":
            raise HTTPException(403, "Only admins may see this page.")
        return self.user

    async def show(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page, and renew the cookie of the session."""
        user, services = self.visit.user, self.services
        unread = 0
        if user is not None:
            counted = select(func.count()).where(
                Notice.user_id == user.id, Notice.read_at.is_(None)
            )
            async with services.database.session() as session:
                unread = await session.scalar(counted) or 0
        response = self.render(
            template, status, user=user, csrf=csrf_token(services, self.visit),
            now=services.clock.now(), unread=unread, **context,
        )  # fmt: skip
        remember(response, self.request, services, self.visit)
        return response

    def go_as(self, user: User | None) -> Response:
        """Sign in as ``user``, or sign out for ``None``, and redirect to the home page."""
        visit = Visit(uuid4()) if user is None else Visit(user.id, user)
        response = self.go_to("home")
        remember(response, self.request, self.services, visit)
        return response


async def visitor(request: Request, services: ServicesDep) -> Browser:
    """Return the browser that sent a request."""
    return Browser(request, services, await visit_of(request, services))


async def sender(request: Request, services: ServicesDep) -> Browser:
    """Return the browser that sent a form; refuse forms from other sites."""
    return Browser(request, services, await checked_visit(request, services))


Visitor = Annotated[Browser, Depends(visitor)]
Sender = Annotated[Browser, Depends(sender)]
