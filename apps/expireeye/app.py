"""The ASGI application: its routes, error handlers and lifespan."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.responses import Response

from apps.database import ended
from apps.expireeye import problems
from apps.expireeye.api import auth, health, notifications, operator, products, socket
from apps.expireeye.jobs import declare_jobs
from apps.expireeye.pages import account, member
from apps.expireeye.pages import operator as operator_page
from apps.expireeye.pages.browser import FOLDER, visitor
from apps.expireeye.pages.session import visit_of
from apps.expireeye.problems import Problem
from apps.expireeye.services import Services
from apps.expireeye.settings import Settings
from apps.logs import set_up_logging
from apps.middleware import BodyLimit, SecurityHeaders
from apps.web.page import SignInFirst, mount_static
from duly import Clock, DulyError
from duly.web import Principal, web_app

log = logging.getLogger(__name__)


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """Create the application.

    Args:
        settings: its configuration.
        clock: the source of time; default: the machine's.
    """
    services = Services(settings, clock)
    declare_jobs(services)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with _running(services):
            yield

    app = FastAPI(
        title="ExpireEye", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi"
    )
    app.state.services = services
    for part in (auth, products, notifications, operator, health, socket):
        app.include_router(part.router)
    for page in (account, member, operator_page):
        app.include_router(page.router)
    app.mount("/duly", web_app(services.scheduler, access=_operators_of(services)), name="duly")
    mount_static(app, FOLDER)
    app.add_middleware(BodyLimit, refuse=problems.too_large)
    app.add_middleware(SecurityHeaders)

    async def problem_page(request: Request, problem: Problem) -> Response:
        browser = await visitor(request, services)
        return await browser.show("problem.html", status=problem.status, message=problem.message)

    problems.install(app, problem_page)

    @app.exception_handler(SignInFirst)
    async def sign_in_first(request: Request, _: SignInFirst) -> Response:
        return (await visitor(request, services)).go_to("sign-in")

    return app


def _operators_of(services: Services) -> Callable[[Request], Awaitable[Principal | None]]:
    """Return the access function of Duly's dashboard, which admits signed-in operators."""

    async def access(request: Request) -> Principal | None:
        user = (await visit_of(request, services)).user
        if user is None or user.role != "operator":
            return None
        return Principal(name=operator.actor(user), role="operator")

    return access


def from_environment() -> FastAPI:
    """Return the application that the environment configures, for ``uvicorn --factory``."""
    settings = Settings.from_environment()
    set_up_logging(settings.log_level)
    app = create_app(settings)
    gc.freeze()  # loaded modules stay, so the garbage collector need not scan them
    return app


@contextlib.asynccontextmanager
async def _running(services: Services) -> AsyncIterator[None]:
    """Create the tables, and start the follower and the scheduler; stop them in reverse order."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(services.database.opened())
        following = asyncio.create_task(services.follower.run())
        stack.push_async_callback(ended, following)
        await _start(services)
        stack.push_async_callback(services.scheduler.aio.stop)
        yield


async def _start(services: Services) -> None:
    """Start the scheduler; if that fails, serve requests and let readiness report it."""
    scheduler = services.scheduler
    if not services.settings.scheduler_enabled:
        scheduler.attach(asyncio.get_running_loop())
        return
    try:
        await scheduler.aio.start()
        log.info("Scheduler started.")
    except DulyError:
        log.exception("The scheduler could not start; serving requests without it.")
