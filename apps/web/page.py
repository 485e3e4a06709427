"""A request for a page: paths of the application, redirects and templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from apps.web import times

_FOLDER = Path(__file__).parent


def templates_in(folder: Path) -> Environment:
    """Return the templates of an application, and those that all share."""
    templates = Environment(
        loader=FileSystemLoader([folder / "templates", _FOLDER / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["times"] = times
    return templates


def mount_static(app: FastAPI, folder: Path) -> None:
    """Serve the static files of an application, and those that all share."""
    app.mount("/static", StaticFiles(directory=folder / "static"), name="static")
    app.mount("/shared", StaticFiles(directory=_FOLDER / "static"), name="shared")


class SignInFirst(Exception):
    """The page requires a signed-in user, so the browser is sent to the sign-in page."""


class Page:
    """A request for a page, and the possible responses.

    Args:
        request: the request.
        templates: the result of `templates_in`.
    """

    def __init__(self, request: Request, templates: Environment) -> None:
        self.request = request
        self._templates = templates

    def path(self, name: str, /, **parameters: Any) -> str:
        """Return the path of a route, including the path where this application is mounted."""
        app: FastAPI = self.request.app
        return f"{self.request.scope.get('root_path', '')}{app.url_path_for(name, **parameters)}"

    def go_to(
        self, name: str, /, query: dict[str, str] | None = None, **parameters: Any
    ) -> Response:
        """Redirect to a page of this application."""
        tail = f"?{urlencode(query)}" if query else ""
        return RedirectResponse(self.path(name, **parameters) + tail, 303)

    def render(self, template: str, status: int, **context: Any) -> Response:
        """Return a page; templates link to others by ``url(name, …)``."""
        html = self._templates.get_template(template).render(
            url=self.path, status=status, **context
        )
        return HTMLResponse(html, status)
