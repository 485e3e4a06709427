"""The only job of ExpireEye. Duly takes care of locks, history, retries and retention."""

from __future__ import annotations

import logging
from datetime import datetime

from apps.expireeye.expiry import Batch, DueItem, due_items, expire_batch
from apps.expireeye.frequency import interval
from apps.expireeye.services import Services
from apps.logs import log_run_id
from duly import Run

log = logging.getLogger(__name__)

CHECK = "check_product_expiry"
BUDGET = 0.8
"""The share of the interval after which a run leaves the remaining items to the next run."""


def declare_jobs(services: Services) -> None:
    """Declare the job on the application's scheduler."""
    settings, clock = services.settings, services.clock
    database, follower, metrics = services.database, services.follower, services.metrics
    services.scheduler.around(log_run_id)

    @services.scheduler.job(
        settings.frequency.trigger,
        id=CHECK,
        misfire_grace=settings.frequency.grace,
        catch_up="latest",
        overlap="skip",
        keep=settings.history_retention_days,
    )
    async def check_product_expiry(run: Run) -> dict[str, int]:
        """Expire every product whose date has passed, and notify its owner."""
        now, begun = run.now(), clock.monotonic()
        run.count(checked=0, expired=0, notified=0, pushed=0, failed=0)
        last: DueItem | None = None
        while True:
            async with database.begin() as session:
                items = await due_items(session, now, after=last, limit=settings.expiry_batch_size)
                batch = await expire_batch(session, items, now)
            log_batch(batch)
            run.count(
                checked=len(items),
                expired=len(batch.expired),
                notified=len(batch.notices),
                pushed=await follower.deliver(batch.notices),
                failed=batch.failed,
            )
            if len(items) < settings.expiry_batch_size or run.cancelled:
                break
            last = items[-1]
            if clock.monotonic() - begun > BUDGET * await seconds_between_ticks(services, now):
                break
        summary = {**run.counters, "durationMs": round((clock.monotonic() - begun) * 1000)}
        metrics.run_done(summary)
        log_summary(summary)
        return summary


async def seconds_between_ticks(services: Services, now: datetime) -> float:
    """Return the current interval of the check, which an operator may have changed."""
    job = await services.scheduler.aio.job(CHECK)
    trigger = job.trigger or services.settings.frequency.trigger
    return interval(trigger, now).total_seconds()


def log_summary(summary: dict[str, int]) -> None:
    """Log the summary of a run, at DEBUG if it found nothing to do."""
    level = logging.INFO if summary["checked"] else logging.DEBUG
    log.log(level, "Check finished: %s", summary)


def log_batch(batch: Batch) -> None:
    """Log the changes of a committed batch."""
    for item in batch.expired:
        log.info("Item %s has expired.", item.id)
    for notice in batch.notices:
        log.info(
            "Notification %s stored for user %s: %r", notice.id, notice.user_id, notice.message
        )
