"""The ASGI application: its routes, error handlers and lifespan."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from apps.alerts.api import alerts, auth, health, scheduler
from apps.alerts.jobs import declare_jobs
from apps.alerts.pages.site import add_pages
from apps.alerts.services import Services
from apps.alerts.settings import Settings
from apps.logs import set_up_logging
from apps.middleware import BodyLimit, SecurityHeaders
from duly import Clock
from duly.integrations.fastapi import init_app


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
        async with services.database.opened():
            yield

    app = FastAPI(
        title="Alerts", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi"
    )
    app.state.services = services
    for part in (auth, scheduler, alerts, health):  # static paths before those with an id
        app.include_router(part.router)
    add_pages(app, services)
    app.add_middleware(BodyLimit, refuse=lambda text: JSONResponse({"detail": text}, 413))
    app.add_middleware(SecurityHeaders)
    app.add_exception_handler(RequestValidationError, _invalid)
    init_app(app, services.scheduler, start=settings.scheduler_enabled)
    return app


def from_environment() -> FastAPI:
    """Return the application that the environment configures, for ``uvicorn --factory``."""
    settings = Settings()
    set_up_logging(settings.log_level)
    app = create_app(settings)
    gc.freeze()  # loaded modules stay, so the garbage collector need not scan them
    return app


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Respond 422, with the path of the first invalid field in front of the message."""
    fault = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    path = ".".join(str(part) for part in fault["loc"][1:])
    return JSONResponse({"detail": f"{path}: {fault['msg']}" if path else fault["msg"]}, 422)
