"""Liveness, readiness and metrics."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from apps.alerts.api.access import ServicesDep, address_of
from apps.alerts.jobs import RECONCILE
from apps.alerts.operations import word_for
from apps.alerts.services import Services
from apps.networks import is_inside
from duly import DulyError

router = APIRouter(tags=["health"])

RECONCILED_WITHIN = timedelta(minutes=3)


@router.get("/health")
async def live() -> dict[str, str]:
    """Report that the process responds."""
    return {"status": "ok"}


@router.get("/health/ready")
async def ready(services: ServicesDep) -> JSONResponse:
    """Report whether alerts are executed, or were stopped on purpose."""
    body = await _readiness(services)
    return JSONResponse(body, 200 if body["ready"] else 503)


async def _readiness(services: Services) -> dict[str, Any]:
    now, scheduler = services.clock.now(), services.scheduler
    health = await scheduler.aio.health()
    enabled = services.settings.scheduler_enabled
    body: dict[str, Any] = {
        "ready": False, "database": health.database, "detail": health.detail,
        "engine": health.engine if enabled else "disabled",
    }  # fmt: skip
    if health.database != "ok" or (enabled and not health.ok):
        return body
    try:
        status = word_for(await scheduler.aio.status(brief=True))
        job = await scheduler.aio.job(RECONCILE)
        runs = await scheduler.aio.runs(job=RECONCILE, state="succeeded", limit=1)
    except DulyError as error:
        return {**body, "detail": str(error)}
    times = [job.created_at, *(run.finished_at for run in runs)]
    reconciled: datetime = max(time for time in times if time)
    late = status == "running" and now - reconciled > RECONCILED_WITHIN
    ready = status != "unavailable" and not late
    return {**body, "ready": ready, "status": status, "reconciled_at": reconciled.isoformat()}


@router.get("/metrics")
async def metrics(request: Request, services: ServicesDep) -> Response:
    """Return Duly's metrics, to allowed networks only."""
    if not is_inside(address_of(request), services.settings.metrics_networks):
        raise HTTPException(403, "This network may not read the metrics.")
    text = await run_in_threadpool(generate_latest, services.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
