"""The REST API of the scheduler, for operators: a thin layer over Duly."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from apps.expireeye.api.access import Operator, ServicesDep
from apps.expireeye.api.schemas import FrequencyChange, show_entry, show_job
from apps.expireeye.frequency import NAMED, frequency
from apps.expireeye.history import history, last_executed
from apps.expireeye.jobs import CHECK
from apps.expireeye.models import User
from apps.expireeye.problems import Problem
from apps.expireeye.services import Services
from apps.outcomes import Outcome, outcome_of
from duly import JobRecord, RunRecord
from duly.errors import OverlapError

router = APIRouter(prefix="/scheduler", tags=["operator"])

RUN_WAIT = 30.0


@router.get("/status")
async def status(_: Operator, services: ServicesDep) -> dict[str, Any]:
    """Return whether the scheduler runs, and the next and the last run of the check."""
    scheduler = services.scheduler
    state = await scheduler.aio.status()
    last = await last_executed(scheduler)
    job = show_job(await scheduler.aio.job(CHECK))
    return {"running": state.running, "jobs": [job | {"lastRun": last and show_entry(last)}]}


@router.get("/history")
async def runs(
    _: Operator,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    outcome: Outcome | None = None,
) -> dict[str, Any]:
    """List the newest runs, optionally only those with one outcome."""
    found = await history(services.scheduler, limit=limit, outcome=outcome)
    return {"items": [show_entry(entry) for entry in found]}


@router.post("/jobs/check_product_expiry/run")
async def run_now(user: Operator, services: ServicesDep) -> JSONResponse:
    """Run the check now: 200 with its summary, or 202 if it has not finished after 30 seconds."""
    run = await run_check(services, user)
    if not run.is_terminal:
        return JSONResponse({"runId": run.id, "outcome": outcome_of(run)}, 202)
    summary = run.result if isinstance(run.result, dict) else {"error": run.error_message}
    return JSONResponse({"runId": run.id, "outcome": outcome_of(run), **summary})


@router.patch("/jobs/check_product_expiry")
async def change(user: Operator, body: FrequencyChange, services: ServicesDep) -> dict[str, Any]:
    """Change how often the check runs; the change survives restarts until it is reset."""
    if body.frequency not in NAMED:
        raise Problem(422, "unknown_frequency", f"Choose one of {', '.join(NAMED)}.", "frequency")
    return show_job(await change_frequency(services, user, body.frequency))


async def run_check(services: Services, user: User) -> RunRecord:
    """Run the check now, and wait up to `RUN_WAIT` seconds for it to finish.

    Raises:
        Problem: 409, a run is in progress.
    """
    try:
        run: RunRecord = await services.scheduler.aio.run_now(
            CHECK, wait=RUN_WAIT, actor=actor(user)
        )
    except OverlapError:
        raise Problem(409, "already_running", "The check is already running.") from None
    return run


async def change_frequency(services: Services, user: User, name: str) -> JobRecord:
    """Change the frequency of the check to a named one."""
    chosen = frequency(name, services.settings.scheduler_timezone)
    job: JobRecord = await services.scheduler.aio.edit(
        CHECK, trigger=chosen.trigger, misfire_grace=chosen.grace, actor=actor(user)
    )
    return job


def actor(user: User) -> str:
    """Return a user's name for the audit trail: an id, not an e-mail address."""
    return f"expireeye user {user.id}"
