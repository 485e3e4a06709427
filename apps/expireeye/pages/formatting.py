"""Values as the pages show them: times, dates, schedules and outcomes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from apps.expireeye.dates import Expiry, last_good_day
from apps.expireeye.frequency import name_of
from apps.expireeye.history import Entry
from apps.expireeye.inventory import Owned
from apps.web.times import local
from duly import JobRecord

FREQUENCIES = {
    "10s": "Every 10 seconds",
    "minute": "Every minute",
    "hour": "Every hour",
    "daily": "Daily at midnight",
}


def good_until(owned: Owned, zone: str) -> str:
    """Return the date of an item as its owner entered it."""
    item = owned.item
    if item.expiry_is_date_only:
        day = last_good_day(Expiry(item.expiry_date, date_only=True), zone)
        return f"{day.day} {day:%b %Y}, end of the day"
    return local(item.expiry_date, zone)


def as_form(owned: Owned, zone: str) -> dict[str, str]:
    """Return the values of an item for its form."""
    item = owned.item
    expiry = Expiry(item.expiry_date, item.expiry_is_date_only)
    clock = item.expiry_date.astimezone(ZoneInfo(zone))
    return {
        "date": last_good_day(expiry, zone).isoformat(),
        "time": "" if expiry.date_only else f"{clock:%H:%M:%S}",
        "quantity": str(item.quantity),
        "note": item.note,
    }


def freshness(owned: Owned, now: datetime) -> str:
    """Return the appearance of an item: ``expired``, ``due``, ``soon`` or ``good``."""
    item = owned.item
    if item.status == "expired":
        return "expired"
    left = (item.expiry_date - now).total_seconds()
    return "due" if left < 0 else "soon" if left < 3 * 86400 else "good"


def schedule_text(job: JobRecord) -> str:
    """Return the schedule of the job."""
    if job.state == "paused":
        return f"Paused{f': {job.paused_reason}' if job.paused_reason else ''}"
    if job.trigger is None:
        return f"Cannot run: {job.unresolved_reason}"
    name = name_of(job.trigger)
    text = job.trigger.describe()
    return FREQUENCIES[name] if name and name != "daily" else text[:1].upper() + text[1:]


def what_happened(entry: Entry) -> str:
    """Return the description of an entry of the history."""
    count = entry.counters
    if entry.outcome in ("ok", "partial"):
        expired, failed = count.get("expired", 0), count.get("failed", 0)
        done = f"{_products(expired)} expired" if expired else "Nothing had expired"
        return f"{done}; {_products(failed)} could not be processed" if failed else done
    if entry.outcome == "error":
        return f"Failed: {entry.detail or 'unknown error'}"
    if entry.outcome == "missed" and entry.ticks > 1:
        return f"{entry.ticks} ticks missed: {_why_missed(entry.detail)}"
    words = {
        "running": "Running now",
        "waiting": "Waiting to start",
        "missed": "Missed: it could not start in time",
        "skipped": "Skipped: the previous run had not finished",
        "interrupted": "Interrupted",
    }
    return words.get(entry.outcome, entry.outcome)


def _why_missed(reason: str | None) -> str:
    """Return Duly's reason for missed ticks in the words of the operator's page."""
    if reason and reason.startswith("catch_up"):
        return "only the newest of them ran"
    return "they could not start in time"


def duration_text(entry: Entry) -> str:
    """Return the duration of a run."""
    if entry.duration is None:
        return "-"
    return f"{entry.duration * 1000:.0f} ms" if entry.duration < 1 else f"{entry.duration:.1f} s"


def _products(count: int) -> str:
    return f"{count} product{'' if count == 1 else 's'}"
