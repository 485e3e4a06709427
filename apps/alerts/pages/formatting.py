"""Values as the pages show them: schedules, conditions, outcomes and figures."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.web.times import local

UNITS = {"minutes": 60, "hours": 3600, "days": 86400}
CONDITIONS = {
    "on_success": "has run",
    "on_triggered": "has triggered",
    "on_failure": "has failed",
    "always": "has run or failed",
}
TRIGGERS = {
    "schedule": "on schedule",
    "manual": "by hand",
    "dependency": "after another alert",
    "retry": "by a retry",
}
STATES = {
    "scheduled": "Active",
    "inactive": "Inactive",
    "pending": "Being scheduled",
    "error": "Cannot be scheduled",
}
OUTCOMES = {
    "ok": "Done",
    "error": "Failed",
    "missed": "Missed",
    "skipped": "Skipped",
    "interrupted": "Interrupted",
    "running": "Running",
    "waiting": "Waiting",
}


def figure(value: float | None) -> str:
    """Return a figure with at most six significant digits; a dash if there is none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100_000 else f"{value:.6g}"


def split_length(length: timedelta) -> tuple[int, str]:
    """Return a length as a number of the largest unit that divides it."""
    seconds = int(length.total_seconds())
    unit = next(name for name in reversed(UNITS) if seconds % UNITS[name] == 0 or name == "minutes")
    return seconds // UNITS[unit], unit


def length_text(length: timedelta) -> str:
    """Return a length in words, such as "3 days" or "hour"."""
    count, unit = split_length(length)
    return unit.removesuffix("s") if count == 1 else f"{count} {unit}"


def schedule_text(alert: dict[str, Any]) -> str:
    """Return the schedule of an alert, as `apps.alerts.api.schemas.show_alerts` shows it."""
    if alert["frequency"] is None:
        return "Only after other alerts"
    if alert["description"] is None:
        return "Not readable"
    text: str = alert["description"]
    return text[:1].upper() + text[1:]


def next_time(alert: dict[str, Any]) -> datetime | None:
    """Return when an alert or a job runs next."""
    text = alert.get("scheduling", alert)["next_run_time"]
    return None if text is None else datetime.fromisoformat(text)


def with_offset(moment: datetime, zone: str) -> str:
    """Return a moment with its weekday and the abbreviation of the zone at that moment."""
    there = moment.astimezone(ZoneInfo(zone))
    return f"{there:%a} {local(moment, zone)} {there:%Z}"


def duration_text(milliseconds: float | None) -> str:
    """Return the duration of a run."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def run_text(run: dict[str, Any]) -> str:
    """Return what happened in a run, as `apps.alerts.history.show_run` shows it."""
    if run["error"]:
        return str(run["error"])
    if run["reason"]:
        return str(run["reason"])
    result = run["result"] if isinstance(run["result"], dict) else {}
    words = {"triggered": "The condition was met", "ok": "The condition was not met"}
    return words.get(result.get("status", ""), "")
