"""The next fires on a timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log1p

from duly.model.job import JobRecord
from duly.web.dashboard import formatting

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
    furthest = next_fire(upcoming[-1]) - now
    reached = [tick for tick in _TICKS if tick < furthest]
    ticks = _TICKS[: max(2, len(reached) + 1)]
    points: list[Point] = []
    for job in upcoming:
        position = min(1000, _position(next_fire(job) - now, ticks[-1]))
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


def next_fire(job: JobRecord) -> datetime:
    """Return when a job fires next; the end of time if it will not."""
    return job.next_fire_at or _NEVER
