"""What admins see of the scheduler and do to it; the API and the operator page share it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import HTTPException
from sqlalchemy import select

from apps.alerts.history import show_run
from apps.alerts.models import Alert, User
from apps.alerts.scheduling import ALERTS, Changes, next_run_time, reload, reloading, trigger_text
from apps.alerts.services import Services
from duly import JobRecord, RunRecord, Status, WorkerRecord
from duly.model.identity import is_id

log = logging.getLogger(__name__)

_IDS_AT_ONCE = 1000


async def status(services: Services) -> dict[str, Any]:
    """Return the status of the scheduler with all jobs of alerts."""
    state = await services.scheduler.aio.status(brief=True)
    jobs = await all_jobs(services)
    return {
        "status": word_for(state),
        "job_count": len(jobs),
        "jobs": await show_jobs(services, jobs),
        "leader": next((worker.id for worker in alive_workers(state)), None),
        "unschedulable": await unschedulable(services),
    }


async def unschedulable(services: Services) -> list[dict[str, Any]]:
    """Return the active alerts that cannot be scheduled, with the reasons."""
    columns = (Alert.id, Alert.name, Alert.frequency, Alert.problem)
    query = select(*columns).where(
        Alert.deleted_at.is_(None), Alert.is_active, Alert.problem.is_not(None)
    )
    async with services.database.session() as session:
        rows = (await session.execute(query.order_by(Alert.name, Alert.id))).all()
    return [
        {"alert_id": row.id, "name": row.name, "frequency": row.frequency, "detail": row.problem}
        for row in rows
    ]


def word_for(state: Status) -> str:
    """Return ``running``, ``stopped`` (on purpose), or ``unavailable``: no process executes."""
    if state.stopped:
        return "stopped"
    return "running" if alive_workers(state) else "unavailable"


def alive_workers(state: Status) -> list[WorkerRecord]:
    """Return the processes that execute runs; Duly needs no leader among them."""
    return [worker for worker in state.workers if worker.lease_until > state.at]


async def all_jobs(services: Services) -> list[JobRecord]:
    """Return all jobs of alerts, by id."""
    found: list[JobRecord] = []
    after: str | None = None
    while True:
        page = await services.scheduler.aio.jobs(tag=ALERTS, after=after, limit=1000)
        found += page
        if not page.more:
            return found
        after = page[-1].id


async def job_page(
    services: Services, *, after: str | None = None, limit: int = 100
) -> tuple[list[dict[str, Any]], bool]:
    """Return some jobs of alerts by id, and whether more follow.

    Args:
        services: the services of the application.
        after: the last id of the former page.
        limit: how many.
    """
    page = await services.scheduler.aio.jobs(tag=ALERTS, after=after, limit=limit)
    return await show_jobs(services, page), page.more


async def show_jobs(services: Services, jobs: Sequence[JobRecord]) -> list[dict[str, Any]]:
    """Return jobs as the API and the operator's page show them."""
    ids = [job.args.get(name) for job in jobs for name in ("alert_id", "parent_id")]
    names = await names_of(services, ids)
    return [_show_job(job, names) for job in jobs]


async def names_of(services: Services, ids: Iterable[str | None]) -> dict[str, str]:
    """Return the names of alerts by their ids."""
    wanted = sorted({UUID(one) for one in ids if one})
    found: dict[str, str] = {}
    async with services.database.session() as session:
        for start in range(0, len(wanted), _IDS_AT_ONCE):
            part = Alert.id.in_(wanted[start : start + _IDS_AT_ONCE])
            rows = await session.execute(select(Alert.id, Alert.name).where(part))
            found |= {str(row.id): row.name for row in rows}
    return found


def _show_job(job: JobRecord, names: Mapping[str, str]) -> dict[str, Any]:
    alert = str(job.args.get("alert_id"))
    name = f"Alert: {names[alert]}" if alert in names else job.id
    parent = names.get(str(job.args.get("parent_id")))
    if job.after and parent:
        name += f" (after {parent})"
    return {
        "id": job.id,
        "name": name,
        "next_run_time": next_run_time(job),
        "trigger": trigger_text(job),
        "timezone": job.trigger.tz if job.trigger else None,
        "state": job.state,
        "last_run": job.last_run and show_run(job.last_run),
    }


async def switch(services: Services, user: User, *, on: bool) -> dict[str, Any]:
    """Start or stop the scheduler in all processes; both are idempotent."""
    scheduler, actor = services.scheduler, actor_of(user)
    await (scheduler.aio.start_all(actor=actor) if on else scheduler.aio.stop_all(actor=actor))
    log.info("The scheduler was %s by %s.", "started" if on else "stopped", actor)
    count = await scheduler.aio.count_jobs(tag=ALERTS)
    return {"status": "running" if on else "stopped", "job_count": count}


async def reload_jobs(services: Services, user: User) -> dict[str, Any]:
    """Compare all alerts with their jobs, and change what differs.

    Raises:
        HTTPException: 409, a reload is in progress.
    """
    if reloading.locked():
        raise HTTPException(409, "A reload is in progress.")
    async with reloading:
        changes: Changes = await reload(services, actor_of(user))
    log.info("Reloaded by %s: %s.", actor_of(user), changes)
    return {
        "message": "Alert jobs reloaded.",
        "job_count": await services.scheduler.aio.count_jobs(tag=ALERTS),
        **changes.counts(),
        "errors": [{"alert_id": alert, "detail": detail} for alert, detail in changes.errors],
    }


async def run_job(services: Services, user: User, job_id: str) -> RunRecord:
    """Run a job now, outside its schedule, as the system user.

    Raises:
        JobNotFound: there is no such job.
        HTTPException: 409, a run of it is executing, or waits to be executed.
    """
    scheduler = services.scheduler
    await scheduler.aio.job(job_id)
    if await scheduler.aio.runs(job=job_id, state=("running", "ready"), limit=1):
        raise HTTPException(409, "The job is running.")
    run: RunRecord = await scheduler.aio.run_now(job_id, actor=actor_of(user))
    return run


async def pause_job(services: Services, user: User, job_id: str, *, paused: bool) -> None:
    """Pause or resume a job.

    Raises:
        JobNotFound: there is no such job.
        HTTPException: 409, it is paused already, or not paused.
    """
    call = services.scheduler.aio.pause if paused else services.scheduler.aio.resume
    if not await call(job_id, actor=actor_of(user)):
        raise HTTPException(409, f"The job is {'already' if paused else 'not'} paused.")


async def dead_letters(
    services: Services, *, discarded: bool = False, limit: int = 100, after: str | None = None
) -> list[RunRecord]:
    """Return failed runs that wait for a person, or those that somebody has closed."""
    found: list[RunRecord] = []
    while len(found) < limit:
        page = await services.scheduler.aio.runs(
            state="discarded" if discarded else "failed", limit=limit, after=after
        )
        # A run that its function gave up was never a dead letter.
        found += [run for run in page if run.error_type or not discarded]
        if not page.more:
            break
        after = page[-1].id
    return found[:limit]


async def requeue(services: Services, user: User, run_id: str) -> None:
    """Run a dead letter again, for the same scheduled time.

    Raises:
        RunNotFound: there is no such run.
        HTTPException: 409, it is not a dead letter any more.
    """
    await _refuse_others(services, run_id)
    await services.scheduler.aio.retry(run_id, actor=actor_of(user))


async def discard(services: Services, user: User, run_id: str) -> None:
    """Close a dead letter.

    Raises:
        RunNotFound: there is no such run.
        HTTPException: 409, it is not a dead letter any more.
    """
    await _refuse_others(services, run_id)
    await services.scheduler.aio.discard(run_id, reason="closed", actor=actor_of(user))


async def _refuse_others(services: Services, run_id: str) -> None:
    run = await services.scheduler.aio.run(run_id)
    if run.state != "failed":
        raise HTTPException(409, f"The run is not a dead letter: it is {run.state}.")


def actor_of(user: User) -> str:
    """Return a user's name for the audit trail: an id, not an e-mail address."""
    return str(user.id)


def run_id(text: str | None) -> str | None:
    """Return the id of a run that a query names.

    Raises:
        HTTPException: 422, it is not one.
    """
    if text is not None and not is_id(text):
        raise HTTPException(422, "after: this is not the id of a run")
    return text
