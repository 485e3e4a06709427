"""The tasks of the application, and its only job of its own.

Duly keeps the history and its retention, retries, and takes runs over from dead processes. Due
retries and purging therefore need no jobs here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts.models import SYSTEM_USER, Alert, Dependency, Instance, User
from apps.alerts.notices import Letter, put_in_inbox, send_mail
from apps.alerts.scheduling import ALERTS, is_scheduled, reconcile, reload
from apps.alerts.services import Services
from apps.alerts.triggering import AlreadyTriggered, Cause, trigger_alert
from apps.logs import log_run_id
from duly import Discard, Event, Fail, Run, Snooze, cron
from duly.errors import RunSignal
from duly.notify import Notice

log = logging.getLogger(__name__)

RECONCILE = "reconcile_alert_jobs"
SYSTEM = str(SYSTEM_USER)
_TRANSIENT = (ConnectionError, TimeoutError, OperationalError, InterfaceError)
_TRANSIENT_STATES = ("40001", "40P01", "55P03")
"""Serialization failure, deadlock, lock not available."""


def declare_jobs(services: Services) -> None:
    """Declare the tasks and the job on the application's scheduler."""
    services.scheduler.around(log_run_id)
    for kind in ("run.missed", "run.skipped"):
        services.scheduler.on(kind, _log_decision)
    _declare_executions(services)
    _declare_notices(services)

    @services.scheduler.job(cron("* * * * *"), id=RECONCILE, misfire_grace=30)
    async def reconcile_alert_jobs() -> dict[str, int]:
        """Repair the alerts whose jobs are known to differ from their rows."""
        return (await reconcile(services, SYSTEM)).counts()

    @services.scheduler.job(cron("0 4 * * *"), id="reload_alert_jobs", at_start=True)
    async def reload_alert_jobs() -> dict[str, int]:
        """Compare all alerts with their jobs."""
        return (await reload(services, SYSTEM)).counts()


def _log_decision(event: Event) -> None:
    log.warning("%s did not run (%s): %s", event.job_id, event.kind, event.detail.get("reason"))


def _declare_executions(services: Services) -> None:
    scheduler, database = services.scheduler, services.database

    @scheduler.task(transactional=database.sessions)
    async def execute_alert(
        alert_id: str, client_id: str, run: Run, session: AsyncSession
    ) -> dict[str, Any]:
        """Trigger an alert at one of its times."""
        with _permanent_errors():
            alert = await _current(session, UUID(alert_id), UUID(client_id))
            cause = Cause(SYSTEM_USER, _trigger_of(run), run.now(), run.scheduled_for)
            instance = await trigger_alert(services, session, alert, cause)
            if run.scheduled_for and alert.frequency and alert.frequency["type"] == "once":
                alert.is_active = False  # its jobs are removed by the next reconciliation
                alert.schedule_version += 1
            return _result(alert, instance)

    @scheduler.task(transactional=database.sessions)
    async def execute_after(
        alert_id: str, client_id: str, parent_id: str, run: Run, session: AsyncSession
    ) -> dict[str, Any]:
        """Trigger an alert after a run of another one."""
        with _permanent_errors():
            alert = await _current(session, UUID(alert_id), UUID(client_id))
            link = await session.get(Dependency, (UUID(parent_id), alert.id))
            followed = (await scheduler.aio.run(run.id)).parent_run_id
            if link is None or followed is None:
                raise Discard("it does not run after this alert")
            parent = await scheduler.aio.run(followed)
            result = parent.result if isinstance(parent.result, dict) else {}
            if link.condition == "on_triggered" and result.get("status") != "triggered":
                raise Discard("the alert before it did not trigger")
            due = (parent.finished_at or run.now()) + timedelta(seconds=link.delay_seconds)
            if run.now() < due:
                raise Snooze(until=due)
            before = result.get("instance")
            cause = Cause(
                SYSTEM_USER, "dependency", run.now(),
                parent_instance_id=UUID(before) if before else None,
            )  # fmt: skip
            return _result(alert, await trigger_alert(services, session, alert, cause))


def _declare_notices(services: Services) -> None:
    scheduler, database = services.scheduler, services.database

    @scheduler.task(queue="notices", retry=services.settings.retry)
    async def deliver_notice(recipient: str, key: str, title: str, body: str, run: Run) -> str:
        """Put a notice into a user's inbox, or send it to an address that no user has."""
        letter = Letter(key, title, body)
        async with database.begin() as session:
            if await put_in_inbox(session, recipient, letter, run.now()):
                return "in-app"
        await asyncio.to_thread(send_mail, services.settings, recipient, letter)
        return "e-mail"

    @scheduler.task(queue="notices", retry=services.settings.retry)
    async def tell_operators(key: str, title: str, body: str, run: Run) -> int:
        """Put a notice into the inbox of each admin."""
        async with database.begin() as session:
            admins = await session.scalars(select(User.email).where(User.role == "admin"))
            told = [
                await put_in_inbox(session, admin, Letter(key, title, body), run.now())
                for admin in admins.all()
            ]
        return sum(told)

    def operators(notice: Notice) -> None:
        """Tell the admins what has happened to alerts."""
        scheduler.enqueue(tell_operators, key=notice.id, title=notice.title, body=notice.text)

    scheduler.notify(operators, on=["run.failed", "job.failing"], queues=[ALERTS], every=60)
    scheduler.notify(operators, on=["worker.lost", "scheduler.stopped"], name="scheduler")


async def _current(session: AsyncSession, alert_id: UUID, client_id: UUID) -> Alert:
    """Return an alert as it is now.

    Raises:
        Discard: it is not one that should run for this client, whatever its job says.
    """
    alert = await session.get(Alert, alert_id)
    if alert is None or alert.deleted_at is not None:
        raise Discard("the alert was deleted")
    if alert.client_id != client_id:
        raise Discard("the alert belongs to another client now")
    if not is_scheduled(alert):
        raise Discard("the alert is not active")
    return alert


def _trigger_of(run: Run) -> str:
    if run.cause == "manual":
        return "manual"
    return "retry" if run.attempt > 1 or run.cause == "retry_by_hand" else "schedule"


def _result(alert: Alert, instance: Instance) -> dict[str, Any]:
    log.info("Executed %r: %s.", alert.name, instance.status)
    return {"instance": str(instance.id), "status": instance.status}


@contextmanager
def _permanent_errors() -> Iterator[None]:
    """Fail a run at once for an error that another attempt would meet again."""
    try:
        yield
    except RunSignal:
        raise
    except AlreadyTriggered as error:
        raise Discard(str(error)) from None
    except Exception as error:
        if is_transient(error):
            raise
        raise Fail from error


def is_transient(error: Exception) -> bool:
    """Return whether an error may not occur again: connection, timeout, conflict."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return isinstance(error, _TRANSIENT) or state in _TRANSIENT_STATES
