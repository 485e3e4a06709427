"""Facts said in words."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from apps.expireeye.dates import Expiry, last_good_day
from apps.expireeye.frequency import name_of
from apps.expireeye.history import Entry
from apps.expireeye.inventory import Owned
from duly import JobRecord

_UNITS = (("day", 86400, 36 * 3600), ("hour", 3600, 5400), ("minute", 60, 90), ("second", 1, 0))
FREQUENCIES = {
    "10s": "Every 10 seconds",
    "minute": "Every minute",
    "hour": "Every hour",
    "daily": "Daily at midnight",
}


def relative(moment: datetime, now: datetime) -> str:
    """How far away a moment is, as the page's script says it too: "in 5 minutes"."""
    seconds = (moment - now).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    unit, length = next((unit, length) for unit, length, least in _UNITS if size >= least)
    count = int(size / length + 0.5)
    text = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {text}" if seconds > 0 else f"{text} ago"


def local(moment: datetime, zone: str) -> str:
    """A moment on the wall clock of a zone."""
    held = moment.astimezone(ZoneInfo(zone))
    seconds = f":{held:%S}" if held.second else ""
    return f"{held.day} {held:%b %Y, %H:%M}{seconds}"


def good_until(owned: Owned, zone: str) -> str:
    """The item's date as its owner gave it."""
    item = owned.item
    if item.expiry_is_date_only:
        day = last_good_day(Expiry(item.expiry_date, date_only=True), zone)
        return f"{day.day} {day:%b %Y}, end of the day"
    return local(item.expiry_date, zone)


def as_form(owned: Owned, zone: str) -> dict[str, str]:
    """The item as its owner would type it."""
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
    """One word for the look of an item: ``expired``, ``due``, ``soon`` or ``good``."""
    item = owned.item
    if item.status == "expired":
        return "expired"
    left = (item.expiry_date - now).total_seconds()
    return "due" if left < 0 else "soon" if left < 3 * 86400 else "good"


def rhythm(job: JobRecord) -> str:
    """When the job runs."""
    if job.state == "paused":
        return f"Paused{f': {job.paused_reason}' if job.paused_reason else ''}"
    if job.trigger is None:
        return f"Not runnable: {job.unresolved_reason}"
    name = name_of(job.trigger)
    text = job.trigger.describe()
    return FREQUENCIES[name] if name and name != "daily" else text[:1].upper() + text[1:]


def what_happened(entry: Entry) -> str:
    """A line of the history in a sentence."""
    count = entry.counters
    if entry.outcome in ("ok", "partial"):
        expired, failed = count.get("expired", 0), count.get("failed", 0)
        done = f"{_products(expired)} expired" if expired else "Nothing had expired"
        return f"{done}; {_products(failed)} could not be processed" if failed else done
    if entry.outcome == "error":
        return f"Failed: {entry.detail or 'unknown error'}"
    if entry.outcome == "missed" and entry.ticks > 1:
        return f"{entry.ticks} ticks missed: {entry.detail}"
    words = {
        "running": "Running now",
        "waiting": "Waiting to start",
        "missed": "Missed: it could not start in time",
        "skipped": "Skipped: the run before was not over",
        "interrupted": "Interrupted",
    }
    return words.get(entry.outcome, entry.outcome)


def took(entry: Entry) -> str:
    """How long a run took."""
    if entry.duration is None:
        return "-"
    return f"{entry.duration * 1000:.0f} ms" if entry.duration < 1 else f"{entry.duration:.1f} s"


def _products(count: int) -> str:
    return f"{count} product{'' if count == 1 else 's'}"
