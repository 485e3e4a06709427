"""What admins see of the scheduler and do to it; Duly's audit trail has their names."""

from __future__ import annotations

from datetime import datetime, time
from typing import Literal

from apps.manageit.schedule import meal_job, set_meal_time
from apps.manageit.services import services
from apps.manageit.settings import Meal
from apps.outcomes import STATES, outcome_of
from duly import JobRecord, RunRecord
from duly.errors import JobNotFound, StateError
from duly.integrations.flask import get_scheduler

Action = Literal["run", "pause", "resume"]
_PAGE = 200


def is_running() -> bool:
    """Return whether a process executes jobs, and nobody has switched that off."""
    status = get_scheduler().status(brief=True)
    alive = any(worker.lease_until > status.at for worker in status.workers)
    return alive and not status.stopped


def jobs() -> list[JobRecord]:
    """Return all jobs with their newest runs, by id."""
    return get_scheduler().jobs(limit=1000)


def next_run_time(job: JobRecord) -> datetime | None:
    """Return when a job runs next; ``None``: it is paused, or never runs again."""
    return job.next_fire_at if job.state == "active" else None


def act(job_id: str, action: Action, actor: str) -> RunRecord | None:
    """Run a job now, pause it or resume it; return the run, if there is one.

    Raises:
        JobNotFound: there is no such job.
        OverlapError: a run of it is executing, or waits to be executed.
        StateError: it is paused already, or not paused.
    """
    scheduler = get_scheduler()
    if action == "run":
        return scheduler.run_now(job_id, actor=actor)
    change = scheduler.pause if action == "pause" else scheduler.resume
    if not change(job_id, actor=actor):
        raise StateError(f"{job_id} is {'already' if action == 'pause' else 'not'} paused.")
    return None


def meal_times() -> dict[str, time]:
    """Return when the admins are told of each meal's feedback, by the ids of the jobs."""
    zone = services().settings.zone
    due = {job.id: job.next_fire_at for job in jobs()}
    return {job_id: at.astimezone(zone).time() for job_id in meal_jobs() if (at := due.get(job_id))}


def meal_jobs() -> dict[str, Meal]:
    """Return the meals whose feedback the admins are told of, by the ids of the jobs."""
    return {meal_job(meal): meal for meal in services().settings.meal_notify_times}


def move_meal_job(job_id: str, at: time, actor: str) -> JobRecord:
    """Change when the admins are told of a meal's feedback; this wins over the configuration.

    Raises:
        JobNotFound: there is no such job of a meal.
    """
    meal = meal_jobs().get(job_id)
    if meal is None:
        raise JobNotFound(job_id, meal_jobs())
    return set_meal_time(meal, at, actor)


def history(job_id: str | None, outcome: str | None, limit: int) -> list[RunRecord]:
    """Return runs, newest first: of a job or of all, with an outcome or with any."""
    found: list[RunRecord] = []
    after: str | None = None
    while len(found) < limit:
        page = get_scheduler().runs(
            job=job_id, state=STATES[outcome] if outcome else None, limit=_PAGE, after=after
        )
        found += [run for run in page if outcome in (None, outcome_of(run))]
        if not page.more:
            break
        after = page[-1].id
    return found[:limit]
