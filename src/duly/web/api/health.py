"""The REST API of health: probes for orchestrators, and the status of the whole."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from duly.operations.status import Health, Status
from duly.web.api.schemas import Alive
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="health")


@routes.get("/health", role=None)
async def show_live(_context: Context) -> Alive:
    """Respond to anybody: this process is alive."""
    return Alive(ok=True)


@routes.get("/health/ready", role=None, response=Alive, others={503: Alive})
async def show_ready(context: Context) -> Response:
    """Respond to anybody whether this process is ready.

    The status is 503 unless it runs and the database responds.
    """
    health = await context.scheduler.aio.health()
    return JSONResponse({"ok": health.ok}, 200 if health.ok else 503)


@routes.get("/health/details")
async def show_health(context: Context) -> Health:
    """Return the health of this process; the status is 200 whatever its health is."""
    return await context.scheduler.aio.health()


@routes.get("/status")
async def show_status(context: Context) -> Status:
    """Return the status of the scheduler."""
    return await context.scheduler.aio.status()
