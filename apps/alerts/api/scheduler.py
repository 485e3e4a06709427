"""The REST API of the scheduler, for admins: a thin layer over Duly."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from apps.alerts import operations
from apps.alerts.api.access import Admin, ServicesDep
from apps.alerts.history import STATES, RunOutcome, show_dead_letter, show_run
from apps.alerts.scheduling import ALERTS, tag_of

router = APIRouter(prefix="/api/v1/alerts/scheduler", tags=["scheduler"])

Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("/status")
async def status(_: Admin, services: ServicesDep) -> dict[str, Any]:
    """Return whether the scheduler runs, and all jobs with their next times."""
    return await operations.status(services)


@router.post("/reload")
async def reload(user: Admin, services: ServicesDep) -> dict[str, Any]:
    """Compare all alerts with their jobs, and change what differs."""
    return await operations.reload_jobs(services, user)


@router.post("/start")
async def start(user: Admin, services: ServicesDep) -> dict[str, Any]:
    """Start the scheduler in all processes."""
    return await operations.switch(services, user, on=True)


@router.post("/stop")
async def stop(user: Admin, services: ServicesDep) -> dict[str, Any]:
    """Stop the scheduler in all processes; running executions finish."""
    return await operations.switch(services, user, on=False)


@router.get("/runs")
async def runs(  # noqa: PLR0917 - the filters of a query
    _: Admin,
    services: ServicesDep,
    outcome: RunOutcome | None = None,
    alert_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """List the runs of alerts, newest first; ``after`` is the last id of the former page."""
    found = await services.scheduler.aio.runs(
        queue=ALERTS,
        tag=tag_of(alert_id) if alert_id else None,
        state=None if outcome is None else STATES[outcome],
        since=since,
        until=until,
        after=operations.run_id(after),
        limit=limit,
    )
    return {"items": [show_run(run) for run in found], "more": found.more}


@router.get("/dead-letters")
async def dead_letters(
    _: Admin,
    services: ServicesDep,
    status: Literal["open", "discarded"] = "open",
    after: str | None = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """List failed runs that wait for a person, or those that were closed, newest first."""
    found = await operations.dead_letters(
        services, discarded=status == "discarded", limit=limit, after=operations.run_id(after)
    )
    return {"items": [show_dead_letter(run) for run in found]}


@router.post("/dead-letters/{run_id}/requeue", status_code=202)
async def requeue(user: Admin, run_id: str, services: ServicesDep) -> dict[str, str]:
    """Run a dead letter again, for the same scheduled time."""
    await operations.requeue(services, user, run_id)
    return {"id": run_id}


@router.post("/dead-letters/{run_id}/discard", status_code=204)
async def discard(user: Admin, run_id: str, services: ServicesDep) -> None:
    """Close a dead letter."""
    await operations.discard(services, user, run_id)


@router.post("/jobs/{job_id}/run", status_code=202)
async def run(user: Admin, job_id: str, services: ServicesDep) -> dict[str, Any]:
    """Run a job now."""
    return show_run(await operations.run_job(services, user, job_id))


@router.post("/jobs/{job_id}/pause", status_code=204)
async def pause(user: Admin, job_id: str, services: ServicesDep) -> None:
    """Pause a job."""
    await operations.pause_job(services, user, job_id, paused=True)


@router.post("/jobs/{job_id}/resume", status_code=204)
async def resume(user: Admin, job_id: str, services: ServicesDep) -> None:
    """Resume a paused job."""
    await operations.pause_job(services, user, job_id, paused=False)
