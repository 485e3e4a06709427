"""Forecast an application's schedule: which job fires when, without executing anything."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from duly.clock import aware_utc
from duly.decisions.policy import INSTANT, next_fire
from duly.errors import ConfigurationError
from duly.model.policy import JobOptions
from duly.scheduler import Scheduler
from duly.triggers import Calendar, Trigger

PAGE = 1000
"""The number of stored jobs that are read at once."""

MAX_STEPS = 100_000
"""The number of steps after which a trigger returns its count so far and is asked again."""


class Fire(NamedTuple):
    """One nominal time of one job."""

    at: datetime
    job_id: str


@dataclass(frozen=True, slots=True)
class JobForecast:
    """How often one job fires between two instants.

    Attributes:
        job_id: the job.
        count: the number of fires.
        first: the first nominal time; ``None`` if the job does not fire.
        last: the last nominal time; ``None`` if the job does not fire.
        described: the trigger in English.
    """

    job_id: str
    count: int
    first: datetime | None
    last: datetime | None
    described: str


@dataclass(frozen=True, slots=True)
class _Job:
    id: str
    trigger: Trigger
    options: JobOptions


class Forecast:
    """Every fire of a scheduler's jobs between two instants.

    Attributes:
        start: the first instant, included.
        end: the last instant, excluded.
        jobs: a `JobForecast` for each job, by its id, in the order of ids.
    """

    def __init__(self, jobs: list[_Job], start: datetime, end: datetime) -> None:
        self._jobs = jobs
        self.start = start
        self.end = end
        self.jobs = {job.id: _forecast(job, start, end) for job in jobs}

    @property
    def total(self) -> int:
        """The number of fires of all jobs."""
        return sum(job.count for job in self.jobs.values())

    def fires(self, job_id: str | None = None) -> Iterator[Fire]:
        """Return the fires in chronological order, computed while you iterate.

        Args:
            job_id: only the fires of this job; default: those of all jobs.
        """
        jobs = [job for job in self._jobs if job_id in (None, job.id)]
        return heapq.merge(*(_fires(job, self.start, self.end) for job in jobs))


def simulate_schedule(
    scheduler: Any,
    start: datetime,
    end: datetime,
    *,
    stored: bool = False,
    calendars: Mapping[str, Calendar] | None = None,
) -> Forecast:
    """Forecast which jobs fire between two instants, without executing anything.

    The nominal times honour each job's ``start``, ``end`` and ``max_fires``, its exclusions and the
    clock changes of its time zone. Everything that depends on the state of a database is left out:
    overlap, pauses, and the catch-up of missed times. Fires are counted by arithmetic where the
    trigger allows it; a year of ordinary jobs takes about a second.

    Args:
        scheduler: a `Scheduler`, or a Flask, FastAPI or Starlette application that holds one.
        start: the first instant; must be aware.
        end: the instant after the last one; must be aware.
        stored: whether to use the active jobs in the database instead of those that code declares.
        calendars: the calendars that declared jobs exclude, by name.

    Returns:
        How often each job fires, its first and last fire, and an iterator over every fire.

    Raises:
        ConfigurationError: ``scheduler`` is neither a scheduler nor an application that holds one,
            or ``end`` is before ``start``.
        DatabaseUnavailable: ``stored`` is set and the database does not respond.
        NaiveDatetimeError: an instant has no time zone.
        TriggerError: a job excludes a calendar that is missing from ``calendars``.
    """
    chosen = _scheduler_of(scheduler)
    first, last = aware_utc(start, "start"), aware_utc(end, "end")
    if last < first:
        raise ConfigurationError(f"end={end} is before start={start}")
    jobs = _stored(chosen) if stored else _declared(chosen, first, dict(calendars or {}))
    return Forecast(sorted(jobs, key=lambda job: job.id), first, last)


def _scheduler_of(app: Any) -> Scheduler:
    candidates = (
        app,
        getattr(app, "extensions", None),  # Flask
        getattr(getattr(app, "state", None), "duly", None),  # Starlette and FastAPI
    )
    for candidate in candidates:
        scheduler = candidate.get("duly") if isinstance(candidate, dict) else candidate
        if isinstance(scheduler, Scheduler):
            return scheduler
    raise ConfigurationError(
        f"{app!r} is not a Scheduler, nor an application that holds one; pass the Scheduler itself"
    )


def _declared(
    scheduler: Scheduler, anchor: datetime, calendars: Mapping[str, Calendar]
) -> list[_Job]:
    return [
        _Job(
            job.id,
            job.trigger.bind(job_id=job.id, tz=job.zone, anchor=anchor, calendars=calendars),
            job.options,
        )
        for job in scheduler.declared()
    ]


def _stored(scheduler: Scheduler) -> list[_Job]:
    jobs: list[_Job] = []
    after: str | None = None
    while page := scheduler.jobs(after=after, limit=PAGE):
        jobs += [
            _Job(job.id, job.trigger, job.options)
            for job in page
            if job.trigger is not None and job.state == "active"
        ]
        after = page[-1].id
    return jobs


def _fires(job: _Job, start: datetime, end: datetime) -> Iterator[Fire]:
    """Return the fires of one job; ``max_fires`` keeps the first of them."""
    moment = next_fire(job.trigger, job.options, start - INSTANT)
    left = job.options.max_fires
    while moment is not None and moment < end and (left is None or left > 0):
        yield Fire(moment, job.id)
        left = None if left is None else left - 1
        moment = next_fire(job.trigger, job.options, moment)


def _forecast(job: _Job, start: datetime, end: datetime) -> JobForecast:
    options, described = job.options, job.trigger.describe()
    first = next(_fires(job, start, end), None)
    if first is None:
        return JobForecast(job.id, 0, None, None, described)
    if options.max_fires is not None:
        times = [fire.at for fire in islice(_fires(job, start, end), options.max_fires)]
        return JobForecast(job.id, len(times), times[0], times[-1], described)
    until = end - INSTANT if options.end is None else min(end - INSTANT, options.end)
    count, last, complete = 1, first.at, False
    while not complete:
        due = job.trigger.due(last, until, keep=0, limit=MAX_STEPS)
        count, last = count + due.count, due.last or last
        complete = due.complete or not due.count
    return JobForecast(job.id, count, first.at, last, described)
