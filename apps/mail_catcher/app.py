"""The pages of the mail catcher."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from apps.mail_catcher.mails import CaughtMail, find, newest
from apps.middleware import SecurityHeaders
from apps.web.page import Page, mount_static, templates_in

_FOLDER = Path(__file__).parent
_WITH_FRAME = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_MAIL = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; frame-ancestors 'self'"
)
"""A mail runs nothing and loads nothing; its links open in a window of their own."""


def mail_catcher(folder: Path, title: str) -> FastAPI:
    """Return an application that shows the mails in a folder.

    Args:
        folder: where a `FolderMailer` writes.
        title: the name of the application that sends them.
    """
    app = FastAPI(title=f"Mails of {title}", docs_url=None, redoc_url=None, openapi_url=None)
    mount_static(app, _FOLDER)
    templates = templates_in(_FOLDER)

    def render(request: Request, template: str, **context: Any) -> Response:
        about = {"user": None, "title": title, "now": datetime.now(UTC)}
        return Page(request, templates).render(template, 200, **about, **context)

    @app.get("/", name="home")
    def mails(request: Request) -> Response:
        """Show the newest mails."""
        return render(request, "mails.html", mails=newest(folder))

    @app.get("/{id}", name="mail")
    def mail(request: Request, id: str) -> Response:
        """Show one mail: its text, and its HTML in a frame."""
        response = render(request, "mail.html", mail=_found(id))
        response.headers["content-security-policy"] = _WITH_FRAME
        return response

    @app.get("/{id}/html", name="html")
    def html(id: str) -> Response:
        """Return the HTML of a mail."""
        page = _found(id).html.replace("<body", '<base target="_blank"><body', 1)
        return HTMLResponse(page, headers={"content-security-policy": _MAIL})

    def _found(id: str) -> CaughtMail:
        mail = find(folder, id)
        if mail is None:
            raise HTTPException(404, "There is no such mail.")
        return mail

    app.add_middleware(SecurityHeaders)
    return app
