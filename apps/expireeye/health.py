"""The readiness of the application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from apps.expireeye.frequency import interval
from apps.expireeye.history import last_success_at
from apps.expireeye.jobs import CHECK
from apps.expireeye.services import Services
from duly import DulyError

OVERDUE_INTERVALS = 3
"""The number of intervals without a successful run after which the application is not ready."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The readiness; ``last_run_age`` is in seconds, and ``None`` before the first success."""

    scheduler: str
    database: str
    last_run_age: float | None = None
    overdue: bool = False

    @property
    def ready(self) -> bool:
        """Whether this process should receive requests."""
        up = self.scheduler in ("running", "disabled") and self.database == "ok"
        return up and not self.overdue


async def readiness(services: Services) -> Readiness:
    """Check the scheduler, the database and the age of the last successful run.

    The count restarts when this process starts and when the job is changed, so that neither a
    restart nor a shorter interval makes a healthy application appear unready.
    """
    now = services.clock.now()
    try:
        health = await services.scheduler.aio.health()
        engine = health.engine if services.settings.scheduler_enabled else "disabled"
        if health.database != "ok":
            return Readiness(engine, health.database)
        job = await services.scheduler.aio.job(CHECK)
        success = await last_success_at(services.scheduler)
    except DulyError:
        return Readiness("failed", "unreachable")
    since = _latest(success, services.started_at, job.updated_at)
    trigger = job.trigger or services.settings.frequency.trigger
    return Readiness(
        engine,
        health.database,
        None if success is None else (now - success).total_seconds(),
        overdue=now - since > OVERDUE_INTERVALS * interval(trigger, since),
    )


def _latest(*moments: datetime | None) -> datetime:
    return max(moment for moment in moments if moment is not None)
