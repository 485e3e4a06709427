"""Values as the pages and the API show them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from apps.manageit.services import services

OUTCOMES = {
    "ok": "Done",
    "partial": "Done in part",
    "error": "Failed",
    "missed": "Missed",
    "skipped": "Skipped",
    "interrupted": "Interrupted",
    "running": "Running",
    "waiting": "Waiting",
}
KINDS = {"critical_feedback": "Critical feedback", "failing_job": "Failing job"}
MAILS = {
    "none": "not mailed",
    "pending": "mail on its way",
    "sent": "mailed",
    "failed": "mail failed",
}


def iso(moment: datetime | None) -> str | None:
    """Return a moment in the zone of the messes, as the API writes it."""
    return None if moment is None else moment.astimezone(services().settings.zone).isoformat()


def number(value: Any) -> str:
    """Return a figure with at most two decimals."""
    return f"{float(value):,.2f}".rstrip("0").rstrip(".")


def duration_text(duration: timedelta | None) -> str:
    """Return how long a run took."""
    if duration is None:
        return "-"
    seconds = duration.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def result_text(result: Any) -> str:
    """Return what a job has returned, as words."""
    if not isinstance(result, dict):
        return "" if result is None else str(result)
    return ", ".join(f"{name}: {_value(value)}" for name, value in result.items())


def _value(value: Any) -> str:
    return f"({result_text(value)})" if isinstance(value, dict) else str(value)
