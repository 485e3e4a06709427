"""What the pages say of the reminders of an exchange."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select

from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import Exchange, ReminderDelivery
from apps.sneaky_klaus.reminders import job_id, planned, tag_of
from duly.integrations.flask import get_scheduler


@dataclass(frozen=True, slots=True)
class Reminder:
    """A reminder of an exchange.

    Attributes:
        days: how many days before the exchange.
        at: when it is due.
        state: whether it is planned, was sent, was missed, or has passed without being planned.
        sent: the number of participants who were sent it.
        run_id: the run that was missed, which can be repeated.
    """

    days: int
    at: datetime
    state: Literal["planned", "sent", "missed", "none"]
    sent: int = 0
    run_id: str | None = None


def planned_reminders(exchange: Exchange) -> list[Reminder]:
    """Return the reminders of an exchange, the first to be sent first."""
    jobs = {job.id for job in get_scheduler().jobs(tag=tag_of(exchange.id)) if job.next_fire_at}
    missed = {
        run.scheduled_for: run.id
        for run in get_scheduler().runs(tag=tag_of(exchange.id), state="missed", limit=100)
    }
    sent = _sent(exchange.id)
    return [
        _reminder(exchange, days, jobs, missed, sent)
        for days in sorted(exchange.reminder_days, reverse=True)
    ]


def _reminder(
    exchange: Exchange,
    days: int,
    jobs: set[str],
    missed: dict[datetime | None, str],
    sent: dict[tuple[int, datetime], int],
) -> Reminder:
    at = planned(exchange, days).instant
    if count := sent.get((days, at), 0):
        return Reminder(days, at, "sent", count)
    if at in missed:
        return Reminder(days, at, "missed", run_id=missed[at])
    return Reminder(days, at, "planned" if job_id(exchange.id, days) in jobs else "none")


def _sent(exchange_id: int) -> dict[tuple[int, datetime], int]:
    counting = (
        select(ReminderDelivery.days_before, ReminderDelivery.due_at, func.count())
        .where(ReminderDelivery.exchange_id == exchange_id)
        .group_by(ReminderDelivery.days_before, ReminderDelivery.due_at)
    )
    return {(days, due_at): count for days, due_at, count in db.session.execute(counting)}
