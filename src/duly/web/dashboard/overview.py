"""What the overview shows: troubles first, then what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log1p

from duly.web.api.schemas import Job, Run
from duly.web.dashboard import formatting
from duly.web.endpoint import RequestContext

LATE = timedelta(seconds=5)
LOOKED_AT = 100
UPCOMING = 12
RECENT = 15
TROUBLES = 8

_NEVER = datetime.max.replace(tzinfo=UTC)
# A linear line would have room for either the next minute or the next month, not for both.
_TICKS = tuple(
    timedelta(seconds=seconds)
    for seconds in (10, 60, 600, 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400, 3650 * 86400)
)
_SOFT = timedelta(seconds=5)
_TOUCH = 18
_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Overview:
    """The facts of the overview.

    Attributes:
        late: active jobs whose next fire has passed, the latest first.
        failing: jobs whose last runs failed.
        unresolved: jobs that cannot run with the code as it is.
        failed: the newest failed run, if nobody has retried or discarded it.
        upcoming: the jobs that fire next.
        recent: the newest runs.
    """

    late: list[Job]
    failing: list[Job]
    unresolved: list[Job]
    failed: list[Run]
    upcoming: list[Job]
    recent: list[Run]


async def look(context: RequestContext, now: datetime) -> Overview:
    """Ask the scheduler for it."""
    ask = context.scheduler.aio
    waiting = _jobs(await ask.jobs(state="active", order="next_fire_at", limit=LOOKED_AT))
    late = [job for job in waiting if _next(job) < now - LATE]
    return Overview(
        late=late,
        failing=_jobs(await ask.jobs(failing=True, limit=TROUBLES + 1)),
        unresolved=_jobs(await ask.jobs(state="unresolved", limit=TROUBLES + 1)),
        failed=_runs(await ask.runs(state="failed", limit=1)),
        upcoming=waiting[len(late) :][:UPCOMING],
        recent=_runs(await ask.runs(limit=RECENT)),
    )


def _jobs(records: Sequence[object]) -> list[Job]:
    return [Job.model_validate(record) for record in records]


def _runs(records: Sequence[object]) -> list[Run]:
    return [Run.model_validate(record) for record in records]


def _next(job: Job) -> datetime:
    return job.next_fire_at or _NEVER


@dataclass(frozen=True, slots=True)
class Point:
    """The next fire of a job on the time line.

    Attributes:
        place: from 0 (now) to 1000.
        level: how many points it is drawn above, so that it does not hide them.
    """

    job: Job
    place: int
    level: int


@dataclass(frozen=True, slots=True)
class TimeLine:
    """The next fires on a logarithmic line from now to a round time ahead.

    Attributes:
        ticks: words and their places.
    """

    points: list[Point]
    ticks: list[tuple[str, int]]


def time_line(upcoming: Sequence[Job], now: datetime) -> TimeLine:
    """A line that reaches the last of the jobs, which come in the order of their next fires."""
    if not upcoming:
        return TimeLine([], [])
    furthest = _next(upcoming[-1]) - now
    reached = [tick for tick in _TICKS if tick < furthest]
    ticks = _TICKS[: max(2, len(reached) + 1)]
    points: list[Point] = []
    for job in upcoming:
        place = min(1000, _place(_next(job) - now, ticks[-1]))
        level = 0
        if points and place - points[-1].place < _TOUCH:
            level = (points[-1].level + 1) % _LEVELS
        points.append(Point(job, place, level))
    return TimeLine(
        points, [("now", 0), *((formatting.span(tick), _place(tick, ticks[-1])) for tick in ticks)]
    )


def _place(away: timedelta, furthest: timedelta) -> int:
    return round(1000 * log1p(max(away, timedelta()) / _SOFT) / log1p(furthest / _SOFT))
