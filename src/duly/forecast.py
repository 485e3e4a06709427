"""A year of an application's schedule in a second: which job fires when, without any database."""

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
STEPS = 100_000


class Fire(NamedTuple):
    """One nominal time of one job."""

    at: datetime
    job_id: str


@dataclass(frozen=True, slots=True)
class JobForecast:
    """What one job does between two instants.

    Attributes:
        count: how often it fires.
        first: its first nominal time; ``None``: it does not fire.
        last: its last one.
        described: its trigger in English.
    """

    job_id: str
    count: int
    first: datetime | None
    last: datetime | None
    described: str


@dataclass(frozen=True, slots=True)
class _Plan:
    job_id: str
    trigger: Trigger
    options: JobOptions


class Forecast:
    """What all jobs of a scheduler do between two instants.

    Attributes:
        start: included.
        end: excluded.
        jobs: by job id, in order.
    """

    def __init__(self, plans: list[_Plan], start: datetime, end: datetime) -> None:
        self._plans = plans
        self.start = start
        self.end = end
        self.jobs = {plan.job_id: _count(plan, start, end) for plan in plans}

    @property
    def total(self) -> int:
        """How many times anything fires."""
        return sum(job.count for job in self.jobs.values())

    def fires(self, job_id: str | None = None) -> Iterator[Fire]:
        """Every fire in the order of time, found as one asks for it.

        Args:
            job_id: of one job only.
        """
        chosen = [plan for plan in self._plans if job_id in (None, plan.job_id)]
        return heapq.merge(*(_fires(plan, self.start, self.end) for plan in chosen))


def simulate_schedule(
    scheduler: Any,
    start: datetime,
    end: datetime,
    *,
    stored: bool = False,
    calendars: Mapping[str, Calendar] | None = None,
) -> Forecast:
    """Run an application's schedule through a stretch of time, without executing anything.

    The nominal times honour each job's ``start``, ``end``, ``max_fires``, its exclusions and the
    clock changes of its zone. Every decision that needs the state of a database (overlap,
    pauses, what was missed) is left out. Times are found by arithmetic where the trigger
    allows it: a year of ordinary jobs takes about a second.

    Args:
        scheduler: a `Scheduler`, or a Flask, FastAPI or Starlette application that holds one.
        start: the first instant, aware.
        end: the instant after the last one, aware.
        stored: the jobs that are in the database now, instead of those that code declares.
        calendars: the named calendars that declared jobs leave out, by name.

    Returns:
        How often each job fires, first and last; and every fire, as one asks for it.

    Raises:
        ConfigurationError: no scheduler, or ``end`` is before ``start``.
        NaiveDatetimeError: an instant without a time zone.
        TriggerError: a job names a calendar that is not among ``calendars``.
    """
    held = _scheduler_of(scheduler)
    since, until = aware_utc(start, "start"), aware_utc(end, "end")
    if until < since:
        raise ConfigurationError(f"end={end} is before start={start}")
    plans = _stored(held) if stored else _declared(held, since, dict(calendars or {}))
    return Forecast(sorted(plans, key=lambda plan: plan.job_id), since, until)


def _scheduler_of(app: Any) -> Scheduler:
    places = (
        app,
        getattr(app, "extensions", None),
        getattr(getattr(app, "state", None), "duly", None),
    )
    for place in places:
        held = place.get("duly") if isinstance(place, dict) else place
        if isinstance(held, Scheduler):
            return held
    raise ConfigurationError(
        f"{app!r} is no Scheduler and holds none; give the Scheduler itself, or an application "
        "that it is bound to"
    )


def _declared(
    scheduler: Scheduler, anchor: datetime, calendars: Mapping[str, Calendar]
) -> list[_Plan]:
    return [
        _Plan(
            wanted.id,
            wanted.trigger.bind(
                job_id=wanted.id, tz=wanted.zone, anchor=anchor, calendars=calendars
            ),
            wanted.options,
        )
        for wanted in scheduler.declared()
    ]


def _stored(scheduler: Scheduler) -> list[_Plan]:
    plans: list[_Plan] = []
    after: str | None = None
    while page := scheduler.jobs(after=after, limit=PAGE):
        plans += [
            _Plan(job.id, job.trigger, job.options)
            for job in page
            if job.trigger is not None and job.state == "active"
        ]
        after = page[-1].id
    return plans


def _fires(plan: _Plan, start: datetime, end: datetime) -> Iterator[Fire]:
    """The fires of one job; with ``max_fires`` those are the first so many."""
    moment = next_fire(plan.trigger, plan.options, start - INSTANT)
    left = plan.options.max_fires
    while moment is not None and moment < end and (left is None or left > 0):
        yield Fire(moment, plan.job_id)
        left = None if left is None else left - 1
        moment = next_fire(plan.trigger, plan.options, moment)


def _count(plan: _Plan, start: datetime, end: datetime) -> JobForecast:
    options, described = plan.options, plan.trigger.describe()
    first = next(_fires(plan, start, end), None)
    if first is None:
        return JobForecast(plan.job_id, 0, None, None, described)
    if options.max_fires is not None:
        times = [fire.at for fire in islice(_fires(plan, start, end), options.max_fires)]
        return JobForecast(plan.job_id, len(times), times[0], times[-1], described)
    until = end - INSTANT if options.end is None else min(end - INSTANT, options.end)
    count, last, complete = 1, first.at, False
    while not complete:
        due = plan.trigger.due(last, until, keep=0, limit=STEPS)
        count, last = count + due.count, due.last or last
        complete = due.complete or not due.count
    return JobForecast(plan.job_id, count, first.at, last, described)
