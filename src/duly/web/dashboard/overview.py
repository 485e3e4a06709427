"""The content of the overview: problems first, then the next fires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log1p

from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.web.context import RequestContext
from duly.web.dashboard import formatting

LATE_AFTER = timedelta(seconds=5)
MAX_CHECKED = 100
MAX_UPCOMING = 12
MAX_RECENT = 15
MAX_PROBLEMS = 8

_NEVER = datetime.max.replace(tzinfo=UTC)
# On a linear scale, either the next minute or the next month would be legible, but not both.
_TICKS = tuple(
    timedelta(seconds=seconds)
    for seconds in (10, 60, 600, 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400, 3650 * 86400)
)
_LINEAR_PART = timedelta(seconds=5)
_OVERLAP = 18
_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Overview:
    """The content of the overview.

    Attributes:
        late: active jobs whose next nominal time has passed, the latest first.
        failing: jobs whose last runs failed.
        unresolved: jobs that cannot run with the deployed code.
        failed: the newest failed run that was not retried or discarded, if any.
        upcoming: the jobs that fire next.
        recent: the newest runs.
    """

    late: list[JobRecord]
    failing: list[JobRecord]
    unresolved: list[JobRecord]
    failed: list[RunRecord]
    upcoming: list[JobRecord]
    recent: list[RunRecord]


async def read_overview(context: RequestContext, now: datetime) -> Overview:
    """Read the content of the overview from the scheduler."""
    scheduler = context.scheduler.aio
    waiting = _jobs(await scheduler.jobs(state="active", order="next_fire_at", limit=MAX_CHECKED))
    late = [job for job in waiting if _next(job) < now - LATE_AFTER]
    return Overview(
        late=late,
        failing=_jobs(await scheduler.jobs(failing=True, limit=MAX_PROBLEMS + 1)),
        unresolved=_jobs(await scheduler.jobs(state="unresolved", limit=MAX_PROBLEMS + 1)),
        failed=_runs(await scheduler.runs(state="failed", limit=1)),
        upcoming=waiting[len(late) :][:MAX_UPCOMING],
        recent=_runs(await scheduler.runs(limit=MAX_RECENT)),
    )


def _jobs(records: Sequence[JobRecord]) -> list[JobRecord]:
    return [record.redacted() for record in records]


def _runs(records: Sequence[RunRecord]) -> list[RunRecord]:
    return [record.redacted() for record in records]


def _next(job: JobRecord) -> datetime:
    return job.next_fire_at or _NEVER


@dataclass(frozen=True, slots=True)
class Point:
    """The next fire of a job on the timeline.

    Attributes:
        job: the job.
        position: from 0, which is now, to 1000.
        level: the height at which it is drawn, so that it does not hide other points; 0 to 2.
    """

    job: JobRecord
    position: int
    level: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The next fires on a logarithmic scale from now to a round time ahead.

    Attributes:
        points: the next fire of each job.
        ticks: the labels of the scale and their positions.
    """

    points: list[Point]
    ticks: list[tuple[str, int]]


def timeline(upcoming: Sequence[JobRecord], now: datetime) -> Timeline:
    """Return a timeline that reaches the last of the jobs, which are sorted by their next fires."""
    if not upcoming:
        return Timeline([], [])
    furthest = _next(upcoming[-1]) - now
    reached = [tick for tick in _TICKS if tick < furthest]
    ticks = _TICKS[: max(2, len(reached) + 1)]
    points: list[Point] = []
    for job in upcoming:
        position = min(1000, _position(_next(job) - now, ticks[-1]))
        level = 0
        if points and position - points[-1].position < _OVERLAP:
            level = (points[-1].level + 1) % _LEVELS
        points.append(Point(job, position, level))
    return Timeline(
        points,
        [("now", 0), *((formatting.span(tick), _position(tick, ticks[-1])) for tick in ticks)],
    )


def _position(away: timedelta, furthest: timedelta) -> int:
    return round(
        1000 * log1p(max(away, timedelta()) / _LINEAR_PART) / log1p(furthest / _LINEAR_PART)
    )
