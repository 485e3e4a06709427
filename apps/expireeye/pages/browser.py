"""The visitor of a page: the session, and the responses that it can receive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from apps.expireeye.api.access import ServicesDep
from apps.expireeye.models import User
from apps.expireeye.notices import count_unread
from apps.expireeye.pages import formatting
from apps.expireeye.pages.session import (
    Visit,
    change_user,
    checked_visit,
    csrf_token,
    remember,
    renew,
    visit_of,
)  # fmt: skip
from apps.expireeye.services import Services

FOLDER = Path(__file__).parent

templates = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals["formatting"] = formatting


class SignInFirst(Exception):
    """The page requires a signed-in user, so the browser is sent to the sign-in page."""


class Browser:
    """A request for a page, and the possible responses."""

    def __init__(self, request: Request, services: Services, visit: Visit) -> None:
        self.request = request
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

    async def show(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page, and renew the cookie of the session."""
        user, services = self.visit.user, self.services
        unread = 0
        if user is not None:
            async with services.database.session() as session:
                unread = await count_unread(session, user.id)
        html = templates.get_template(template).render(
            url=self._path,
            user=user,
            csrf=csrf_token(services, self.visit),
            now=services.clock.now(),
            unread=unread,
            **context,
        )
        await renew(services, self.visit)
        response = HTMLResponse(html, status)
        remember(response, self.request, services, self.visit)
        return response

    def go_to(self, page: str, **query: str) -> Response:
        """Redirect to a page of this application."""
        return RedirectResponse(self._path(page) + (f"?{urlencode(query)}" if query else ""), 303)

    async def go_as(self, user: User | None) -> Response:
        """Sign in as ``user``, or sign out for ``None``, and redirect to the home page."""
        visit = await change_user(self.services, self.visit, user)
        response = self.go_to("home")
        remember(response, self.request, self.services, visit)
        return response

    def _path(self, name: str, /, **parameters: Any) -> str:
        """Return the path of a route, including the path where this application is mounted."""
        app: FastAPI = self.request.app
        return f"{self.request.scope.get('root_path', '')}{app.url_path_for(name, **parameters)}"


async def visitor(request: Request, services: ServicesDep) -> Browser:
    """Return the browser that sent a request."""
    return Browser(request, services, await visit_of(request, services))


async def sender(request: Request, services: ServicesDep) -> Browser:
    """Return the browser that sent a form; refuse forms from other sites."""
    return Browser(request, services, await checked_visit(request, services))


Visitor = Annotated[Browser, Depends(visitor)]
Sender = Annotated[Browser, Depends(sender)]
