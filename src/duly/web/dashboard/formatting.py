"""Values as the dashboard shows them: times, durations, counts, states and options."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from duly.model.event import Event
from duly.model.policy import JobOptions
from duly.model.run import COUNTED, RunRecord

SECOND = timedelta(seconds=1)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

CAUSES = {
    "schedule": "on schedule",
    "catch_up": "catch-up",
    "start": "at the start of the application",
    "manual": "manually",
    "retry_by_hand": "retried manually",
    "dependency": "after another job",
    "backfill": "backfill",
    "enqueue": "enqueued",
}
ORIGINS = {"code": "in code", "api": "through the API", "import": "by an import"}
OVERLAPS = {
    "skip": "skip the new run",
    "queue": "wait for it to finish",
    "allow": "run at the same time",
    "cancel_running": "cancel the last run",
}
CATCH_UPS = {
    "latest": "run the newest missed time",
    "all": "run every missed time",
    "none": "run no missed time",
}
DEEDS = {
    "run.requested": "requested it",
    "run.revived": "started it over",
    "run.cancel_requested": "asked it to stop",
    "run.cancelled": "cancelled it",
    "run.discarded": "discarded it",
    "run.rescheduled": "gave it another time",
}
REASONS = {
    "catch_up=latest": "only the newest missed time runs",
    "catch_up=none": "missed times do not run",
    "overlap=skip: an earlier run is unfinished": "an earlier run had not finished",
    "overlap=queue: an earlier run is unfinished": "another run was waiting already",
    "overlap=cancel_running": "a newer run replaced it",
}


def span(seconds: float | timedelta | None) -> str:
    """Return a duration in at most two units: "1.2 s", "3 min 20 s", "2 d 4 h"."""
    if seconds is None:
        return ""
    value = seconds / SECOND if isinstance(seconds, timedelta) else float(seconds)
    if value < 0:
        return f"-{span(-value)}"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.1f} s"
    if value < 59.5:
        return f"{value:.0f} s"
    rest = round(value)
    words: list[str] = []
    for size, unit in (*_UNITS, (1, "s")):
        count, rest = divmod(rest, size)
        if count or words:
            words.append(f"{count} {unit}" if count else "")
        if len(words) == 2:
            break
    return " ".join(filter(None, words))


def relative(moment: datetime, now: datetime) -> str:
    """Return the distance to a moment, such as "in 12 s" or "3 min ago"; duly.js does the same."""
    seconds = round((moment - now) / SECOND)
    away = abs(seconds)
    if away < 1:
        return "now"
    for size, unit in _UNITS:
        if away >= size:
            words = f"{away // size} {unit}"
            break
    else:
        words = f"{away} s"
    return f"in {words}" if seconds > 0 else f"{words} ago"


def short_time(moment: datetime, now: datetime, zone: ZoneInfo) -> str:
    """Return the time of day, with the date unless it is today."""
    local, today = moment.astimezone(zone), now.astimezone(zone)
    clock = local.strftime("%H:%M:%S")
    if local.date() == today.date():
        return clock
    day = f"{local:%a} {local.day} {local:%b}"
    return f"{day} {clock}" if local.year == today.year else f"{day} {local.year} {clock}"


def full_time(moment: datetime, zone: ZoneInfo) -> str:
    """Return the full date and time of a moment, with its UTC offset and time zone."""
    local = moment.astimezone(zone)
    return (
        f"{local:%A} {local.day} {local:%B} {local.year}, {local:%H:%M:%S} {offset(local)} ({zone})"
    )


def day(value: date, now: datetime) -> str:
    """Return a day, with its year unless that is the current one."""
    text = f"{value:%a} {value.day} {value:%b}"
    return text if value.year == now.year else f"{text} {value.year}"


def by_month(days: Iterable[date]) -> list[tuple[str, list[date]]]:
    """Return days in their order, by the name of their month."""
    return [(month, list(found)) for month, found in groupby(days, lambda each: f"{each:%B %Y}")]


def clock(local: datetime) -> str:
    """Return the time of day without seconds, unless there are any."""
    return f"{local:%H:%M:%S}".removesuffix(":00")


def offset(local: datetime) -> str:
    """Return the UTC offset, such as "UTC+02:00", which shows whether it is summer time."""
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    sign, away = ("-" if minutes < 0 else "+"), abs(minutes)
    return f"UTC{sign}{away // 60:02}:{away % 60:02}" if away else "UTC"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 run", "1,200 runs"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def failures(number: int) -> str:
    """Return the number of the last runs that failed: "the last run failed"."""
    return "the last run failed" if number == 1 else f"the last {number:,} runs failed"


def bounded(number: int) -> str:
    """Return a number at which counting may have stopped: "12", "10,000+"."""
    return f"{COUNTED:,}+" if number >= COUNTED else f"{number:,}"


def pretty(value: Any) -> str:
    """Return a JSON value, indented; a string is returned as it is."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def one_line(value: Any, length: int = 120) -> str:
    """Return a JSON value on a single line of limited length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def how(run: RunRecord) -> str:
    """Return why a run was created and the number of its attempts, where they are unusual."""
    parts = [CAUSES.get(run.cause, run.cause)] if run.cause != "schedule" else []
    if run.attempt > 1:
        parts.append(f"attempt {run.attempt} of {run.max_attempts}")
    return ", ".join(parts)


def last_line(run: RunRecord) -> str:
    """Return the outcome of a run on one line: its error, its reason or its result."""
    if run.state in {"failed", "ready", "scheduled"} and run.error_type:
        return one_line(f"{run.error_type}: {run.error_message or ''}")
    if run.state == "running":
        return one_line(run.progress.note or "") if run.progress else ""
    if run.reason:
        return one_line(reason_text(run.reason))
    return "" if run.result is None else one_line(run.result)


def reason_text(reason: str) -> str:
    """Return why a run or a nominal time did not run, in words instead of the option's name."""
    return REASONS.get(reason, reason)


def trace_id(traceparent: str | None) -> str | None:
    """Return the id of the trace in a W3C trace context; ``None``: there is none."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) == 4 else None


def deed(event: Event) -> str:
    """Return what a user did to a run: "cancelled it"."""
    return DEEDS.get(event.kind, event.kind)


def host(name: str) -> str:
    """Return the host name of a worker, without what distinguishes its boots and containers."""
    return name.partition(" ")[0]


def policy(options: JobOptions) -> list[tuple[str, str]]:
    """Return the options of a job that matter to a reader, as pairs of label and text."""
    lines = [
        ("If the last run has not finished", OVERLAPS.get(options.overlap, options.overlap)),
        ("After a pause or an outage", CATCH_UPS.get(options.catch_up.mode, options.catch_up.mode)),
        ("May fire late by", span(options.misfire_grace) if options.misfire_grace else "no limit"),
        ("Attempts", _attempts(options)),
        ("Time limit", span(options.timeout) if options.timeout else "none"),
    ]
    if options.max_running != 1:
        lines.append(("Concurrent runs", str(options.max_running)))
    if options.jitter:
        lines.append(("Start times spread over", span(options.jitter)))
    if options.expires:
        lines.append(("Expires after", span(options.expires)))
    if options.priority:
        lines.append(("Priority", str(options.priority)))
    if options.owner is not None:
        lines.append(("Owner", options.owner))
    if options.at_start:
        lines.append(("Also runs", "when the application starts"))
    if options.max_fires:
        lines.append(("Fires at most", count(options.max_fires, "time")))
    return lines


def _attempts(options: JobOptions) -> str:
    if options.retry is None or options.retry.attempts == 1:
        return "1"
    wait = f"{span(options.retry.wait)} apart"
    if options.retry.factor != 1:
        wait = (
            f"first retry after {span(options.retry.wait)}, "
            f"waits grow by a factor of {options.retry.factor:g}"
        )
    return f"{options.retry.attempts}, {wait}"
