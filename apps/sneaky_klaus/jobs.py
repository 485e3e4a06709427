"""The jobs of the application: section 3 of the specification.

Each commits what belongs to one exchange in a transaction of its own, so that an error stops no
other exchange. Duly records every run, keeps the history, repeats what failed, and takes over what
a process leaves behind when it dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from apps.rate_limits import has_expired
from apps.sneaky_klaus import exchanges, mailing, reminders
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.models import (
    RATE_LIMITS,
    BrowserSession,
    Exchange,
    MagicToken,
    Participant,
    ReminderDelivery,
)  # fmt: skip
from apps.sneaky_klaus.services import services
from duly import Discard, JobGroup, Retry, Run, cron, every

jobs = JobGroup(retry=Retry(attempts=3, wait=30, factor=2))

_AT_ONCE = 1_000


@jobs.task(transactional=db.session)
def send_reminders(exchange_id: int, days_before: int, run: Run) -> dict[str, int]:
    """Send each participant who wants it a reminder, unless it was sent before.

    The mails are tasks, which exist when this run has succeeded: one that is refused or repeated
    stops no other.
    """
    exchange = db.session.get(Exchange, exchange_id)
    if exchange is None or exchange.state != "MATCHED":
        run.log.warning("Exchange %d is not matched; nobody is reminded.", exchange_id)
        raise Discard(f"exchange {exchange_id} is not matched")
    due_at = reminders.planned(exchange, days_before).instant
    wanted = db.session.scalars(
        select(Participant.id)
        .where(Participant.exchange_id == exchange_id)
        .where(Participant.reminder_enabled, Participant.withdrawn_at.is_(None))
    ).all()
    sent = set(db.session.scalars(
        select(ReminderDelivery.participant_id)
        .filter_by(exchange_id=exchange_id, days_before=days_before, due_at=due_at)
    ))  # fmt: skip
    missing = [each for each in wanted if each not in sent]
    mailing.remind(missing, exchange, days_before)
    run.count(enqueued=len(missing), skipped=len(wanted) - len(missing))
    return _counted(run, "enqueued", "skipped")


@jobs.job(cron("0 0 * * *"), id="auto_complete_exchanges")
def auto_complete_exchanges(run: Run) -> dict[str, int]:
    """Complete the exchanges whose local day has ended."""
    now = services().clock.now()
    matched = db.session.scalars(select(Exchange).where(Exchange.state == "MATCHED")).all()
    over = [exchange.id for exchange in matched if exchanges.day_is_over(exchange, now)]
    for item in run.track(over):
        with item as exchange_id, transaction():
            exchange = _locked(exchange_id, Exchange.state == "MATCHED")
            if exchange is not None and exchanges.day_is_over(exchange, now):
                exchanges.complete(exchange)
                run.log.info("Completed exchange %d (%s).", exchange_id, exchange.name)
                run.count(completed=1)
    return _counted(run, "completed", "failed")


@jobs.job(cron("0 2 * * *"), id="purge_old_exchanges")
def purge_old_exchanges(run: Run) -> dict[str, int]:
    """Warn the admins of exchanges that will be deleted, and delete those they were warned of.

    Both periods are measured between the times for which the daily runs were planned.
    """
    settings, now = services().settings, run.scheduled_for or run.now()
    kept, notice = timedelta(settings.retention_days), timedelta(settings.purge_warning_days)
    completed, warned = Exchange.completed_at, Exchange.purge_warning_sent_at
    unwarned = (completed <= now - kept + notice) & warned.is_(None)
    for item in run.track(_exchanges(unwarned)):
        with item as exchange_id, transaction():
            mailing.warn_of_purge(exchange_id, now)
            run.count(to_warn=1)
    old = (completed <= now - kept) & (warned <= now - notice)
    for item in run.track(_exchanges(old)):
        with item as exchange_id, transaction():
            exchange = _locked(exchange_id, old)
            if exchange is not None:
                exchanges.purge(exchange, run.log)
                run.count(purged=1)
    return _counted(run, "to_warn", "purged", "failed")


def _exchanges(condition: ColumnElement[bool]) -> Sequence[int]:
    return db.session.scalars(select(Exchange.id).where(condition).order_by(Exchange.id)).all()


def _locked(exchange_id: int, condition: ColumnElement[bool]) -> Exchange | None:
    """Return an exchange as it is now, locked until the commit, if a condition still holds."""
    found = select(Exchange).where(Exchange.id == exchange_id, condition).with_for_update()
    return db.session.scalar(found.execution_options(populate_existing=True))


def _counted(run: Run, *names: str) -> dict[str, int]:
    return {name: run.counters.get(name, 0) for name in names}


@jobs.job(every(hours=1), id="cleanup_expired_tokens")
def cleanup_expired_tokens(run: Run) -> dict[str, int]:
    """Delete tokens that have expired, and those that were used a day ago."""
    now = services().clock.now()
    used = now - timedelta(hours=services().settings.used_token_retention_hours)
    return _delete(
        run, MagicToken.id, (MagicToken.expires_at <= now) | (MagicToken.used_at <= used)
    )


@jobs.job(cron("0 3 * * *"), id="cleanup_expired_sessions")
def cleanup_expired_sessions(run: Run) -> dict[str, int]:
    """Delete the sessions of browsers that have expired."""
    return _delete(run, BrowserSession.id, BrowserSession.expires_at <= services().clock.now())


@jobs.job(cron("0 4 * * *"), id="cleanup_expired_rate_limits")
def cleanup_expired_rate_limits(run: Run) -> dict[str, int]:
    """Delete the counts of attempts that no limit needs any more."""
    return _delete(run, RATE_LIMITS.c.id, has_expired(RATE_LIMITS, services().clock.now()))


def _delete(run: Run, key: Any, condition: ColumnElement[bool]) -> dict[str, int]:
    """Delete rows, a thousand in a transaction so that writers need not wait."""
    while ids := db.session.scalars(select(key).where(condition).limit(_AT_ONCE)).all():
        db.session.rollback()  # the list was read without the intention to write
        with transaction():
            db.session.execute(delete(key.table).where(key.in_(ids), condition))
        run.count(deleted=len(ids))
        run.check()
    return _counted(run, "deleted")


@jobs.job(cron("15 * * * *"), id="reconcile_reminders", at_start=True)
def reconcile_reminders(run: Run) -> dict[str, int]:
    """Repair reminder jobs that were damaged by hand; nothing else can differ."""
    matched = db.session.scalars(select(Exchange.id).where(Exchange.state == "MATCHED")).all()
    for item in run.track(sorted({*matched, *reminders.exchanges_with_jobs()})):
        with item as exchange_id, transaction():
            run.count(repaired=reminders.plan(exchange_id))
    return _counted(run, "ok", "repaired", "failed")
