"""The pages as a part of the application: routes, files, and errors as pages."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from apps.alerts.operations import actor_of
from apps.alerts.pages import account, alerts, operator
from apps.alerts.pages.browser import FOLDER, visitor
from apps.alerts.pages.session import visit_of
from apps.alerts.services import Services
from apps.web.page import SignInFirst, mount_static
from duly.web import Principal, web_app


def add_pages(app: FastAPI, services: Services) -> None:
    """Add the pages, and Duly's dashboard for admins, to the application."""
    for page in (account, alerts, operator):
        app.include_router(page.router)

    async def access(request: Request) -> Principal | None:
        user = (await visit_of(request, services)).user
        if user is None or user.role != "admin":
            return None
        return Principal(name=actor_of(user), role="operator")

    app.mount("/duly", web_app(services.scheduler, access=access), name="duly")
    mount_static(app, FOLDER)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if not _wants_page(request):
            return await http_exception_handler(request, error)
        browser = await visitor(request, services)
        return await browser.show(
            "problem.html", status=error.status_code, message=str(error.detail)
        )

    @app.exception_handler(SignInFirst)
    async def sign_in_first(request: Request, _: SignInFirst) -> Response:
        if not _wants_page(request):
            return JSONResponse({"detail": "Sign in first."}, 401)
        return (await visitor(request, services)).go_to("sign-in")


def _wants_page(request: Request) -> bool:
    api = request.url.path.removeprefix(request.scope.get("root_path", "")).startswith("/api/")
    return not api and "text/html" in request.headers.get("accept", "")
