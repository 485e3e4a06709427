"""Liveness, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from apps.expireeye.api.access import ServicesDep, address_of
from apps.expireeye.expiry import oldest_overdue
from apps.expireeye.health import readiness
from apps.expireeye.problems import Problem
from apps.networks import is_inside

router = APIRouter(tags=["health"])


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Report that the process responds."""
    return {"status": "ok"}


@router.get("/health/ready")
async def ready(services: ServicesDep) -> JSONResponse:
    """Report whether the scheduler is running and the check has succeeded recently."""
    state = await readiness(services)
    body = {
        "status": "ok" if state.ready else "unavailable",
        "scheduler": state.scheduler,
        "database": state.database,
        "lastRunAgeSeconds": state.last_run_age,
    }
    return JSONResponse(body, 200 if state.ready else 503)


@router.get("/metrics")
async def metrics(request: Request, services: ServicesDep) -> Response:
    """Return the Prometheus metrics, to allowed networks only."""
    if not is_inside(address_of(request), services.settings.metrics_networks):
        raise Problem(403, "forbidden", "This network may not read the metrics.")
    now = services.clock.now()
    async with services.database.session() as session:
        oldest = await oldest_overdue(session, now)
    services.metrics.lag.set((now - oldest).total_seconds() if oldest else 0)
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
