"""Values in words: times, spans, counts, states, options."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from duly.web.api.schemas import Options, Run

SECOND = timedelta(seconds=1)
# After what joins the parts of a name, but not inside an escaped character.
_JOINT = re.compile(r"([_./:-])(?=\w)")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

CAUSES = {
    "schedule": "on schedule",
    "catch_up": "catching up",
    "manual": "by hand",
    "retry_by_hand": "retried by hand",
    "dependency": "after another job",
    "backfill": "backfill",
    "enqueue": "enqueued",
}
OVERLAPS = {
    "skip": "skip this time",
    "queue": "wait for its turn",
    "allow": "run beside it",
    "cancel_running": "cancel the older run",
}
CATCH_UPS = {
    "latest": "run the newest missed time",
    "all": "run every missed time",
    "none": "run only what is still on time",
}


def span(seconds: float | timedelta | None) -> str:
    """A length of time in two units at most: "1.2 s", "3 min 20 s", "2 d 4 h"."""
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
    """How far a moment is away: "in 12 s", "3 min ago". The script says the same, word for word."""
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
    """The time of day; with the day when that is not today."""
    there, today = moment.astimezone(zone), now.astimezone(zone)
    clock = there.strftime("%H:%M:%S")
    if there.date() == today.date():
        return clock
    day = f"{there:%a} {there.day} {there:%b}"
    return f"{day} {clock}" if there.year == today.year else f"{day} {there.year} {clock}"


def full_time(moment: datetime, zone: ZoneInfo) -> str:
    """Everything there is to know about a moment: date, time, offset, zone."""
    there = moment.astimezone(zone)
    return (
        f"{there:%A} {there.day} {there:%B} {there.year}, {there:%H:%M:%S} {offset(there)} ({zone})"
    )


def offset(there: datetime) -> str:
    """The distance from UTC: "UTC+02:00", which tells summer from winter time."""
    minutes = (there.utcoffset() or timedelta()) // timedelta(minutes=1)
    sign, away = ("-" if minutes < 0 else "+"), abs(minutes)
    return f"UTC{sign}{away // 60:02}:{away % 60:02}" if away else "UTC"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 run", "1,200 runs"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def pretty(value: Any) -> str:
    """A JSON value for people."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def one_line(value: Any, length: int = 120) -> str:
    """A JSON value on one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def how(run: Run) -> str:
    """Why a run was made and how often it was tried, as far as that is not the usual."""
    parts = [CAUSES.get(run.cause, run.cause)] if run.cause != "schedule" else []
    if run.attempt > 1:
        parts.append(f"attempt {run.attempt} of {run.max_attempts}")
    return ", ".join(parts)


def last_line(run: Run) -> str:
    """What became of a run, in a few words: its error, its reason, or its result."""
    if run.state in {"failed", "ready", "scheduled"} and run.error_type:
        return one_line(f"{run.error_type}: {run.error_message or ''}")
    if run.state == "running":
        return one_line(run.progress.note or "") if run.progress else ""
    if run.reason:
        return one_line(run.reason)
    return "" if run.result is None else one_line(run.result)


def breakable(name: str) -> Markup:
    """A name that a narrow column may break where a reader would."""
    return Markup(_JOINT.sub(r"\1<wbr>", str(escape(name))))  # noqa: S704 - escaped just before


def host(name: str) -> str:
    """A worker's machine; what tells its boots and containers apart is left out."""
    return name.partition(" ")[0]


def policy(held: Options) -> list[tuple[str, str]]:
    """A job's options that matter to a reader, in formatting."""
    lines = [
        ("If the last run is not over", OVERLAPS.get(held.overlap, held.overlap)),
        ("After a pause or an outage", CATCH_UPS.get(held.catch_up.mode, held.catch_up.mode)),
        ("May start late by", span(held.misfire_grace) if held.misfire_grace else "any time"),
        ("Attempts", _attempts(held)),
        ("Time limit", span(held.timeout) if held.timeout else "none"),
    ]
    if held.max_running != 1:
        lines.append(("Runs at once", str(held.max_running)))
    if held.jitter:
        lines.append(("Starts are spread over", span(held.jitter)))
    if held.expires:
        lines.append(("Waits at most", span(held.expires)))
    if held.priority:
        lines.append(("Priority", str(held.priority)))
    if held.max_fires:
        lines.append(("Ends after", count(held.max_fires, "fire")))
    return lines


def _attempts(held: Options) -> str:
    if held.retry is None or held.retry.attempts == 1:
        return "1"
    wait = f"{span(held.retry.wait)} apart"
    if held.retry.factor != 1:
        wait = f"first wait {span(held.retry.wait)}, then {held.retry.factor:g} times as long"
    return f"{held.retry.attempts}, {wait}"
