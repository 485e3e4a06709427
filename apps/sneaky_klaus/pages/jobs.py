"""The pages of the jobs: what is scheduled, what has run, and what is to run now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user, login_required

from apps.sneaky_klaus.pages.accounts import actor_of
from apps.sneaky_klaus.pages.health import is_working
from apps.sneaky_klaus.pages.labels import Labels, task_title
from apps.sneaky_klaus.services import services
from duly import RunRecord
from duly.errors import OverlapError, StateError
from duly.integrations.flask import get_scheduler

jobs = Blueprint("jobs", __name__, url_prefix="/admin")

ROWS = 30
MEASURED = timedelta(days=7)


@jobs.before_request
@login_required
def require_admin() -> None:
    """Let admins in only."""


@jobs.get("/jobs")
def index() -> Any:
    """Show the scheduled jobs, what has run, what has failed, and missed reminders."""
    return _show()


@jobs.get("/api/jobs")
def index_as_json() -> Any:
    """Return what the page of the jobs shows."""
    return jsonify(**_overview())


@jobs.route("/jobs/<job_id>/run", methods=["GET", "POST"])
def run(job_id: str) -> Any:
    """Ask whether a job is to run now, and run it."""
    if request.method != "POST":
        job = get_scheduler().job(job_id)
        return render_template("job_run.html", job=job, labels=Labels())
    try:
        get_scheduler().run_now(job_id, actor=actor_of(current_user))
    except OverlapError:
        return _show(f"{job_id} is running, so it was not started again.")
    flash(f"{job_id} runs now.")
    return redirect(url_for("jobs.index"), 303)


@jobs.post("/jobs/runs/<run_id>/repeat")
def repeat(run_id: str) -> Any:
    """Do now what was missed, or has failed."""
    try:
        repeated = get_scheduler().retry(run_id, actor=actor_of(current_user))
    except (OverlapError, StateError) as error:
        return _show(str(error))
    flash(f"{repeated.job_id or repeated.task} runs now.")
    return redirect(url_for("jobs.index"), 303)


@jobs.get("/metrics")
def metrics() -> Any:
    """Show how long each type of job takes, and how often it fails."""
    since = services().clock.now() - MEASURED
    runs = get_scheduler().runs(state=["succeeded", "failed"], finished_since=since, limit=1000)
    counts = get_scheduler().counts()
    return render_template(
        "metrics.html", measures=_measures(runs), counts=counts, days=MEASURED.days, more=runs.more,
        title=task_title,
    )  # fmt: skip


def _show(fault: str | None = None) -> Any:
    page = render_template(
        "jobs.html", **_overview(), labels=Labels(), fault=fault, now=services().clock.now(),
        working=is_working(),
    )  # fmt: skip
    return page, 409 if fault else 200


def _overview() -> dict[str, Any]:
    scheduler = get_scheduler()
    return {
        "jobs": scheduler.jobs(order="next_fire_at", limit=200),
        "executions": scheduler.runs(limit=ROWS),
        "failures": scheduler.runs(state="failed", limit=ROWS),
        "missed": scheduler.runs(task="send_reminders", state="missed", limit=ROWS),
    }


@dataclass(frozen=True, slots=True)
class Measure:
    """What the runs of a task in a period took, and how they ended.

    Attributes:
        task: the name of the task.
        runs: the number of runs.
        failures: the number of those that failed.
        typical: the median of their seconds.
        longest: the most seconds that one took.
        last_error: the message of the newest failure.
    """

    task: str
    runs: int
    failures: int
    typical: float
    longest: float
    last_error: str | None

    @property
    def success_rate(self) -> float:
        """The share of the runs that succeeded."""
        return 1 - self.failures / self.runs


def _measures(newest_first: Sequence[RunRecord]) -> list[Measure]:
    tasks = sorted({run.task for run in newest_first})
    return [_measure(task, [run for run in newest_first if run.task == task]) for task in tasks]


def _measure(task: str, runs: Sequence[RunRecord]) -> Measure:
    seconds = [run.duration.total_seconds() for run in runs if run.duration is not None] or [0.0]
    failed = [run for run in runs if run.state == "failed"]
    error = failed[0].error_message if failed else None
    return Measure(task, len(runs), len(failed), median(seconds), max(seconds), error)
