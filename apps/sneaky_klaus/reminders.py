"""The reminder jobs of an exchange: section 4 of the specification, in terms of Duly.

Whatever changes an exchange calls `plan` in the same transaction, so the exchange and its jobs
change together or not at all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import Exchange
from apps.sneaky_klaus.services import services
from duly import before
from duly.integrations.flask import get_scheduler
from duly.triggers import At

REMINDERS = "reminders"
"""The tag of all reminder jobs."""


def tag_of(exchange_id: int) -> str:
    """Return the tag of all jobs and runs of one exchange."""
    return f"exchange:{exchange_id}"


def job_id(exchange_id: int, days_before: int) -> str:
    """Return the id of the job that reminds the participants of an exchange."""
    return f"reminder_exchange_{exchange_id}_days_{days_before}"


def planned(exchange: Exchange, days_before: int) -> At:
    """Return when a reminder is due: at the exchange's local time, this many days earlier."""
    return before(exchange.exchange_date, days=days_before, tz=exchange.timezone)


def plan(exchange_id: int) -> int:
    """Bring the reminder jobs of an exchange up to date, as a part of the current transaction.

    Only a matched exchange has any. Times that have passed are left out, but a job that is already
    stored for its time keeps it: it may be overdue within its grace period.

    Returns:
        The number of jobs that were added, changed or removed.
    """
    db.session.flush()
    # The lock keeps a concurrent change from being followed by the reminders of the former state.
    exchange = db.session.get(Exchange, exchange_id, with_for_update=True)
    wanted = [] if exchange is None or exchange.state != "MATCHED" else _jobs(exchange)
    done = get_scheduler().sync(wanted, tag=tag_of(exchange_id), session=db.session)
    return len(done.added) + len(done.changed) + len(done.removed)


def _jobs(exchange: Exchange) -> list[dict[str, Any]]:
    now = services().clock.now()
    stored = {job.id: job.trigger for job in get_scheduler().jobs(tag=tag_of(exchange.id))}
    times = {days: planned(exchange, days) for days in exchange.reminder_days}
    return [
        _job(exchange.id, days, time)
        for days, time in times.items()
        if time.instant > now or stored.get(job_id(exchange.id, days)) == time
    ]


def _job(exchange_id: int, days_before: int, time: At) -> dict[str, Any]:
    return {
        "task": "send_reminders",
        "trigger": time,
        "id": job_id(exchange_id, days_before),
        "args": {"exchange_id": exchange_id, "days_before": days_before},
        "tags": [REMINDERS],
        "misfire_grace": services().settings.reminder_misfire_grace,
    }


def exchanges_with_jobs() -> set[int]:
    """Return the ids of all exchanges that have reminder jobs."""
    found: set[int] = set()
    last: str | None = None
    while page := get_scheduler().job_ids(tag=REMINDERS, after=last, limit=1000):
        found |= {int(each.removeprefix("reminder_exchange_").partition("_")[0]) for each in page}
        last = page[-1]
    return found


def days_until(exchange: Exchange, now: datetime) -> int:
    """Return the number of local calendar days until an exchange."""
    zone = ZoneInfo(exchange.timezone)
    return (exchange.exchange_date.astimezone(zone).date() - now.astimezone(zone).date()).days
