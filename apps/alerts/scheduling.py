"""The jobs of alerts: section 3 of the specification, in terms of Duly.

An active alert has the job ``alert_<id>``, and a job ``alert_<id>_after_<parent>`` for each active
alert that it runs after. They are stored in the transaction that changes the alert, so both change
or neither does. `reload` compares everything; `reconcile`, every minute, only what is known to
differ. Both only repair damage that was done by hand, or an error while the jobs were stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts.frequencies import EPOCH, schedule_of
from apps.alerts.models import Alert, Dependency, Outcome
from apps.alerts.services import Services
from duly import JobRecord, Retry, after, every
from duly.errors import DulyError, FrequencyError
from duly.triggers import Frequency

log = logging.getLogger(__name__)

ALERTS = "alerts"
"""The tag of all jobs of alerts, and the queue of their runs."""

_OUTCOMES: dict[Outcome, Literal["success", "failure", "always"]] = {
    "on_success": "success",
    "on_triggered": "success",  # and `execute_after` asks whether it was triggered
    "on_failure": "failure",
    "always": "always",
}
_AT_ONCE = 500


def job_id(alert_id: UUID, parent_id: UUID | None = None) -> str:
    """Return the id of an alert's job, or of the one that runs it after another alert."""
    return f"alert_{alert_id}" if parent_id is None else f"alert_{alert_id}_after_{parent_id}"


def tag_of(alert_id: UUID) -> str:
    """Return the tag of all jobs of one alert."""
    return f"alert:{alert_id}"


# -------------------------------------------------------------------------- from alert to jobs


@dataclass(frozen=True, slots=True)
class Family:
    """Alerts and those that they run after, as far as their jobs depend on each other."""

    alerts: dict[UUID, Alert]
    parents: dict[UUID, list[Dependency]]

    def parents_of(self, alert_id: UUID) -> list[Dependency]:
        """Return the dependencies of an alert on alerts that have jobs."""
        links = self.parents.get(alert_id, ())
        return [link for link in links if is_scheduled(self.alerts[link.parent_id])]

    def job_ids_of(self, alert_id: UUID) -> list[str]:
        """Return the ids of all jobs that an alert has."""
        after_others = [job_id(alert_id, one.parent_id) for one in self.parents_of(alert_id)]
        return [job_id(alert_id), *after_others]


def is_scheduled(alert: Alert) -> bool:
    """Return whether an alert has jobs."""
    return alert.is_active and alert.deleted_at is None and alert.problem is None


def own_job(services: Services, alert: Alert) -> dict[str, Any]:
    """Return the job that runs an alert at its own times.

    Raises:
        FrequencyError: the stored frequency breaks the rules.
        ConfigurationError: the stored retry policy does.
    """
    return {
        **_options(services, alert),
        "task": "execute_alert",
        "id": job_id(alert.id),
        "args": _arguments(alert),
        "overlap": "cancel_running",  # the next time replaces a retry that is still to come
        "misfire_grace": services.settings.scheduler_misfire_grace_seconds,
        **_times(services, alert),
    }


def following_jobs(services: Services, alert: Alert, family: Family) -> list[dict[str, Any]]:
    """Return the jobs that run an alert after others."""
    return [
        {
            **_options(services, alert),
            "task": "execute_after",
            "id": job_id(alert.id, link.parent_id),
            "args": {**_arguments(alert), "parent_id": str(link.parent_id)},
            "overlap": "allow",  # one run for each run of the parent
            "trigger": after(
                family.job_ids_of(link.parent_id), on=_OUTCOMES[link.condition], each=True
            ),
        }
        for link in family.parents_of(alert.id)
    ]


def _arguments(alert: Alert) -> dict[str, str]:
    return {"alert_id": str(alert.id), "client_id": str(alert.client_id)}


def _options(services: Services, alert: Alert) -> dict[str, Any]:
    settings = services.settings
    return {
        "tags": [ALERTS, tag_of(alert.id)],
        "queue": ALERTS,
        "owner": str(alert.client_id),
        "priority": alert.turn,
        "retry": Retry(**alert.retry) if alert.retry else settings.retry,
        "timeout": settings.run_timeout_seconds,
        "keep": settings.history_retention_days,
        "watch": {"failing_after": 3},
        "max_running": settings.scheduler_max_instances,
        "catch_up": settings.catch_up,
    }


def _times(services: Services, alert: Alert) -> dict[str, Any]:
    """Return the trigger of an alert's own job; without a frequency it never fires."""
    if alert.frequency is None:
        return {"trigger": every(days=1, anchor=EPOCH), "end": EPOCH}
    return {"trigger": schedule_of(alert.frequency, services.settings)}


def next_run_time(job: JobRecord | None) -> str | None:
    """Return when a job runs next, in UTC with offset; ``None`` if it is paused or finished."""
    if job is None or job.state != "active" or job.next_fire_at is None:
        return None
    return job.next_fire_at.isoformat()


def trigger_text(job: JobRecord) -> str:
    """Return a job's trigger as the status shows it, such as ``cron[0 9 * * *]``."""
    trigger = job.trigger
    if trigger is None or job.options.end == EPOCH:
        return "none"
    if trigger.crontab is not None:
        return f"cron[{trigger.crontab}]"
    kind = trigger.rule["type"] if isinstance(trigger, Frequency) else trigger.kind
    return f"{kind}[{trigger.describe()}]"


# --------------------------------------------------------------------- from changes to the jobs


async def schedule(
    services: Services, session: AsyncSession, alerts: Sequence[Alert], actor: str
) -> None:
    """Bring the jobs of alerts, and of those that run after them, up to date in a transaction.

    An error never fails the caller's change: the alerts stay ``pending``, and are repaired by
    `reconcile`.
    """
    await session.flush()
    try:
        await _apply(services, session, alerts, actor)
    except Exception:
        log.exception("Storing the jobs of %d alerts failed; repaired later.", len(alerts))


async def _apply(
    services: Services,
    session: AsyncSession,
    alerts: Sequence[Alert],
    actor: str,
    others: Iterable[UUID] = (),
) -> Changes:
    """Store the jobs of alerts; remove those of ``others``, unless they are among the alerts."""
    family = await _family(session, {alert.id: alert for alert in alerts})
    affected = _with_children(family, alerts)
    wanted: dict[UUID, list[dict[str, Any]]] = {}
    for alert in affected:
        former, alert.problem = alert.problem, None
        if is_scheduled(alert):
            try:
                wanted[alert.id] = [own_job(services, alert)]
            except (DulyError, TypeError) as error:
                await _report_problem(services, session, alert, error, former)
    for alert_id, jobs in wanted.items():
        jobs.extend(following_jobs(services, family.alerts[alert_id], family))
    result = await services.scheduler.aio.sync(
        [job for jobs in wanted.values() for job in jobs],
        tag=[tag_of(alert_id) for alert_id in {*others, *(alert.id for alert in affected)}],
        session=session,
        actor=actor,
    )
    touched = {*result.added, *result.changed}
    for alert in affected:
        alert.scheduled_version = alert.schedule_version if alert.id in wanted else None
        if job_id(alert.id) in touched:
            trigger = wanted[alert.id][0]["trigger"]
            log.info("Scheduled %r (%s): %s.", alert.name, alert.id, trigger.describe())
    return Changes(
        len(result.added), len(result.changed), len(result.removed), len(result.unchanged),
        [(alert.id, alert.problem) for alert in affected if alert.problem],
    )  # fmt: skip


async def _report_problem(
    services: Services, session: AsyncSession, alert: Alert, error: Exception, former: str | None
) -> None:
    """Record why an alert cannot be scheduled, and tell the admins once."""
    alert.problem = f"retry: {error}"
    if isinstance(error, FrequencyError):
        alert.problem = f"frequency.{error.path}: {error.problem}"
    if alert.problem != former:
        log.error("Alert %r (%s) cannot be scheduled: %s", alert.name, alert.id, alert.problem)
        told = {
            "key": f"{alert.id} {alert.schedule_version}", "body": alert.problem,
            "title": f"{alert.name} cannot be scheduled",
        }  # fmt: skip
        await services.scheduler.aio.enqueue("tell_operators", args=told, session=session)


async def _family(session: AsyncSession, alerts: dict[UUID, Alert]) -> Family:
    """Load the alerts that run after these, and all that they run after, two steps up."""
    parent, child = Dependency.parent_id, Dependency.child_id
    links = await _links(session, or_(parent.in_(alerts), child.in_(alerts)))
    if links:  # most alerts have none
        links |= await _links(session, child.in_({link[1] for link in links}))
        links |= await _links(session, child.in_({link[0] for link in links}))
    missing = {one for pair in links for one in pair} - alerts.keys()
    found = await session.scalars(select(Alert).where(Alert.id.in_(missing))) if missing else ()
    parents: dict[UUID, list[Dependency]] = {}
    for link in sorted(links):
        parents.setdefault(link[1], []).append(links[link])
    return Family(alerts | {alert.id: alert for alert in found}, parents)


async def _links(session: AsyncSession, condition: Any) -> dict[tuple[UUID, UUID], Dependency]:
    found = await session.scalars(select(Dependency).where(condition))
    return {(one.parent_id, one.child_id): one for one in found}


def _with_children(family: Family, alerts: Sequence[Alert]) -> list[Alert]:
    """Return the alerts and their children, whose jobs name those of the alerts."""
    ids = {alert.id for alert in alerts}
    children = {
        child for child, parents in family.parents.items()
        if any(one.parent_id in ids for one in parents)
    }  # fmt: skip
    return [family.alerts[alert_id] for alert_id in sorted(ids | children)]


# ------------------------------------------------------------------------ repairing everything


@dataclass(slots=True)
class Changes:
    """What a reload or a reconciliation has done to the jobs, as numbers."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    errors: list[tuple[UUID, str]] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return the numbers, with that of the errors."""
        return {**asdict(self), "errors": len(self.errors)}

    def __iadd__(self, other: Changes) -> Changes:
        """Add the changes of another part."""
        for name in ("added", "updated", "removed", "unchanged"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.errors += other.errors
        return self


async def reload(services: Services, actor: str) -> Changes:
    """Compare all alerts with their jobs, and change what differs; nothing is absent meanwhile."""
    stored = await _stored(services)
    async with services.database.session() as session:
        active = (await session.execute(_active(Alert.id, Alert.client_id))).all()
    return await _repair(services, active, stored - {row.id for row in active}, actor)


async def reconcile(services: Services, actor: str) -> Changes:
    """Repair the alerts whose jobs are known to differ from their rows."""
    stored = await _stored(services)
    columns = (Alert.id, Alert.client_id, Alert.schedule_version, Alert.scheduled_version)
    async with services.database.session() as session:
        active = (await session.execute(_active(*columns))).all()
    stale = [
        row
        for row in active
        if row.scheduled_version != row.schedule_version or row.id not in stored
    ]
    return await _repair(services, stale, stored - {row.id for row in active}, actor)


async def _stored(services: Services) -> set[UUID]:
    """Return the alerts that have jobs. Read them before the rows: an alert may be added since."""
    found: set[UUID] = set()
    last: str | None = None
    while True:
        page = await services.scheduler.aio.job_ids(tag=ALERTS, after=last, limit=1000)
        found |= {UUID(one.removeprefix("alert_").partition("_")[0]) for one in page}
        if not page.more:
            return found
        last = page[-1]


def _active(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .where(Alert.is_active, Alert.deleted_at.is_(None))
        .order_by(Alert.client_id, Alert.id)
    )


async def _repair(
    services: Services, rows: Iterable[Any], orphans: Collection[UUID], actor: str
) -> Changes:
    """Bring the jobs of alerts up to date, in transactions of some hundred.

    Args:
        services: the services of the application.
        rows: alerts, by client: those of one client may run after each other.
        orphans: alerts that have jobs and should have none.
        actor: who acts.
    """
    changes, part = Changes(), sorted(orphans)
    for _client, group in groupby(rows, key=lambda row: row.client_id):
        part += [row.id for row in group]
        if len(part) >= _AT_ONCE:
            changes += await _repair_part(services, part, actor)
            part = []
    if part:
        changes += await _repair_part(services, part, actor)
    return changes


async def _repair_part(services: Services, ids: Sequence[UUID], actor: str) -> Changes:
    """Repair these alerts together; if that fails, each by itself, so that one stops no other."""
    try:
        async with services.database.begin() as session:
            locked = select(Alert).where(Alert.id.in_(ids)).order_by(Alert.id).with_for_update()
            found = await session.scalars(locked)
            return await _apply(services, session, found.all(), actor, others=ids)
    except Exception as error:
        if len(ids) == 1:
            log.exception("Scheduling alert %s failed.", ids[0])
            return Changes(errors=[(ids[0], str(error))])
    changes = Changes()
    for alert_id in ids:
        changes += await _repair_part(services, [alert_id], actor)
    return changes


reloading = asyncio.Lock()
"""Held while this process reloads; transactions keep processes apart."""
