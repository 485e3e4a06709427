"""The scheduler for admins, as a page and for programs: its jobs, their times and their history."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user

from apps.manageit import operations
from apps.manageit.operations import Action
from apps.manageit.pages.accounts import admit
from apps.manageit.pages.formatting import iso
from apps.manageit.pages.forms import MealTimeForm, first_error
from apps.manageit.services import services
from apps.outcomes import OUTCOMES, outcome_of
from apps.web.flask_api import json_fields, respond_in_json
from duly import JobRecord, RunRecord
from duly.errors import Conflict
from duly.integrations.flask import get_scheduler

scheduler = Blueprint("scheduler", __name__, url_prefix="/admin/scheduler")
scheduler_api = Blueprint("scheduler_api", __name__, url_prefix="/api/admin/scheduler")
respond_in_json(scheduler_api)
for blueprint in (scheduler, scheduler_api):
    blueprint.before_request(admit("admin"))

SHOWN, MOST = 30, 500
_DONE: dict[Action, str] = {
    "run": "The job runs now.",
    "pause": "The job was paused.",
    "resume": "The job was resumed.",
}


# --------------------------------------------------------------------------------------- page


@scheduler.get("")
def overview() -> Any:
    """Show the jobs and their history."""
    return _overview()


@scheduler.post("/jobs/<job_id>/<any(run, pause, resume):action>")
def act(job_id: str, action: Action) -> Any:
    """Run, pause or resume a job, and return to the page; if it is refused, say why."""
    try:
        operations.act(job_id, action, current_user.name)
    except Conflict as error:
        return _overview(409, str(error))
    flash(_DONE[action])
    return redirect(url_for("scheduler.overview"), 303)


@scheduler.post("/jobs/<job_id>/time")
def move_job(job_id: str) -> Any:
    """Change when the admins are told of a meal's feedback."""
    form = MealTimeForm()
    if not form.validate_on_submit():
        return _overview(422, first_error(form))
    operations.move_meal_job(job_id, form.time.data, current_user.name)
    flash(f"The job now runs at {form.time.data:%H:%M}.")
    return redirect(url_for("scheduler.overview"), 303)


def _overview(status: int = 200, fault: str | None = None) -> Any:
    outcome, job_id = _outcome(), request.args.get("job_id") or None
    page = render_template(
        "scheduler.html", running=operations.is_running(), jobs=operations.jobs(),
        meals=operations.meal_times(), runs=operations.history(job_id, outcome, SHOWN),
        outcomes=OUTCOMES, outcome=outcome, job_id=job_id, outcome_of=outcome_of, fault=fault,
    )  # fmt: skip
    return page, status


def _outcome() -> str | None:
    """Return the outcome that a query names; refuse one that does not exist."""
    asked = request.args.get("outcome") or None
    if asked is not None and asked not in OUTCOMES:
        abort(422, f"outcome is one of {', '.join(OUTCOMES)}.")
    return asked


# ---------------------------------------------------------------------------------------- API


@scheduler_api.get("")
def status_as_json() -> Any:
    """Return whether the scheduler is running, and its jobs."""
    return jsonify(
        running=operations.is_running(),
        timezone=services().settings.scheduler_timezone,
        jobs=[_show_job(job) for job in operations.jobs()],
    )


@scheduler_api.post("/jobs/<job_id>/<any(run, pause, resume):action>")
def act_as_json(job_id: str, action: Action) -> Any:
    """Run, pause or resume a job."""
    run = operations.act(job_id, action, current_user.name)
    if run is not None:
        return jsonify(run_id=run.id), 202
    return jsonify(_show_job(get_scheduler().job(job_id)))


@scheduler_api.patch("/jobs/<job_id>")
def move_job_as_json(job_id: str) -> Any:
    """Change when the admins are told of a meal's feedback."""
    form = MealTimeForm(formdata=json_fields())
    if not form.validate():
        abort(422, first_error(form))
    job = operations.move_meal_job(job_id, form.time.data, current_user.name)
    return jsonify(_show_job(job))


@scheduler_api.get("/history")
def history_as_json() -> Any:
    """Return runs, newest first."""
    limit = request.args.get("limit", str(SHOWN))
    if not limit.isdecimal() or not 1 <= int(limit) <= MOST:
        abort(422, f"limit is a number from 1 to {MOST}.")
    job_id = request.args.get("job_id") or None
    return jsonify([_show_run(run) for run in operations.history(job_id, _outcome(), int(limit))])


def _show_job(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "trigger": job.trigger and job.trigger.describe(),
        "next_run_time": iso(operations.next_run_time(job)),
        "last_run": job.last_run and _show_run(job.last_run),
    }


def _show_run(run: RunRecord) -> dict[str, Any]:
    return {
        "id": run.id,
        "job_id": run.job_id,
        "trigger": run.cause,
        "actor": run.actor,
        "due_at": iso(run.scheduled_for or run.due_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "outcome": outcome_of(run),
        "result": run.result,
        "error": run.error_message or run.reason,
    }
