"""The form that creates a job or edits one, with a preview of its trigger."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query
from starlette.exceptions import HTTPException
from starlette.responses import Response

from duly.errors import (
    ArgumentsError,
    DependencyError,
    DulyError,
    DuplicateJob,
    JobNotFound,
    PayloadError,
    RevisionConflict,
    TriggerError,
)
from duly.model.job import JobRecord
from duly.registry import Task
from duly.triggers import Explanation, Trigger
from duly.web.api.paging import QueryModel, Text
from duly.web.api.preview import explain_trigger
from duly.web.context import Context, RequestContext
from duly.web.dashboard.actions.form import redirect
from duly.web.dashboard.forms.job import JobForm, TypedJob, labels
from duly.web.dashboard.forms.options import GROUPS, OWNER, problem_of_option
from duly.web.dashboard.forms.texts import first
from duly.web.dashboard.forms.triggers import KINDS, UNITS, Place, TriggerProblem, read_trigger
from duly.web.dashboard.rendering import render
from duly.web.ownership import refuse_foreign_body
from duly.web.paths import Name
from duly.web.problems import Problem
from duly.web.routes import Routes

MAX_SUGGESTED = 200
REFRESH_S = 60.0
FIRES = 10

routes = Routes(tag=None)
Posted = Mapping[str, Sequence[str]]


class NewJobQuery(QueryModel):
    """The query of the form of a new job."""

    task: Text | None = None


@dataclass(slots=True)
class Answer:
    """What the page says about what was typed.

    Attributes:
        status: the HTTP status.
        problems: what is wrong, by the name of the input; ``form``: with the form as a whole.
        explanation: what the trigger does, if it is valid.
        conflict: whether the job was changed after the form was opened.
        overwrites: the fields that saving again would change.
    """

    status: int = 200
    problems: dict[str, str] = field(default_factory=dict)
    explanation: Explanation | None = None
    conflict: bool = False
    overwrites: Sequence[str] = ()


@routes.get("/new-job", role="admin", scope="shared")
async def show_new_job(context: Context, query: Annotated[NewJobQuery, Query()]) -> Response:
    """Show the tasks, or the form of a new job of one of them."""
    registry = context.scheduler.registry
    if query.task is None or query.task not in registry:
        return await render(
            context, "new_job.html", refresh=REFRESH_S, tasks=registry.tasks(), unknown=query.task
        )
    form = await _new_form(context, registry.get(query.task))
    return await _show(context, form, form.initial, Answer())


@routes.post("/new-job", role="admin", scope="own", creates=True)
async def submit_new_job(context: Context) -> Response:
    """Create a job, or show the form again with what is wrong or with a preview."""
    posted = await _posted(context)
    task = context.scheduler.registry.get(first(posted, "task"))
    form = await _new_form(context, task)
    typed = form.typed(posted)
    found = form.read(typed)
    if "preview" in posted or found.problems:
        return await _show(context, form, typed, await _previewed(context, form, found, posted))
    try:
        await refuse_foreign_body(context.principal, True, found.body, context.scheduler.aio)
        actor = context.because(first(typed, "reason") or None)
        job = await context.scheduler.aio.add(task.name, actor=actor, **found.changes)
    except (DulyError, HTTPException) as error:
        return await _show(context, form, typed, _refused(error))
    return redirect(context, None, "jobs", job.id, done="created")


@routes.get("/jobs/{job_id}/edit", role="admin")
async def show_edit_job(context: Context, job_id: Name) -> Response:
    """Show the form that edits a job."""
    job: JobRecord = await context.scheduler.aio.job(job_id)
    form, answer = await _edit_form(context, job), Answer()
    await _explain(context, answer, job.trigger, job_id)
    return await _show(context, form, form.initial, answer)


@routes.post("/jobs/{job_id}/edit", role="admin")
async def submit_edit_job(context: Context, job_id: Name) -> Response:
    """Edit a job, or show the form again with what is wrong or with a preview."""
    posted = await _posted(context)
    job: JobRecord = await context.scheduler.aio.job(job_id)
    form = await _edit_form(context, job)
    typed = form.typed(posted)
    found = form.read(typed)
    if first(posted, "revision") not in ("", str(job.revision)):
        return await _show(context, form, typed, await _conflict(context, form, found, posted))
    if "preview" in posted or found.problems:
        return await _show(context, form, typed, await _previewed(context, form, found, posted))
    if not found.changes:
        return redirect(context, None, "jobs", job_id, done="unchanged")
    try:
        await refuse_foreign_body(context.principal, False, found.body, context.scheduler.aio)
        await context.scheduler.aio.edit(
            job_id,
            revision=job.revision,
            actor=context.because(first(typed, "reason") or None),
            **found.changes,
        )
    except RevisionConflict:
        return await submit_edit_job(context, job_id)  # it was changed while this read it
    except (DulyError, HTTPException) as error:
        return await _show(context, form, typed, _refused(error))
    return redirect(context, None, "jobs", job_id, done="saved")


@routes.post("/trigger-preview", role="admin", scope="shared")
async def preview_typed_trigger(context: Context) -> Response:
    """Show what the trigger in a form does, or what is wrong with it; nothing is stored."""
    posted = await _posted(context)
    zone = ZoneInfo(context.scheduler.settings.timezone)
    place = Place(first(posted, "id") or "preview", zone, await context.scheduler.aio.calendars())
    answer = Answer()
    try:
        await _explain(context, answer, read_trigger(posted, place), place.job_id)
    except TriggerProblem as error:
        answer.problems[error.name] = f"{error}"
    return await render(context, "form/preview.html", answer=answer)


async def _posted(context: RequestContext) -> dict[str, list[str]]:
    """Return the texts that were sent, without the empty ones."""
    form = await context.request.form()
    posted: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        texts = posted.setdefault(name, [])
        if isinstance(value, str) and value:
            texts.append(value)
    return posted


async def _new_form(context: RequestContext, task: Task) -> JobForm:
    options = task.options_over(context.scheduler.settings.defaults, {})
    return JobForm(task, None, options, await _place(context, "preview"), context.owners)


async def _edit_form(context: RequestContext, job: JobRecord) -> JobForm:
    registry = context.scheduler.registry
    task = registry.get(job.task) if job.task in registry else None
    return JobForm(task, job, job.options, await _place(context, job.id), context.owners)


async def _place(context: RequestContext, job_id: str) -> Place:
    zone = ZoneInfo(context.scheduler.settings.timezone)
    return Place(job_id, zone, await context.scheduler.aio.calendars())


async def _explain(
    context: RequestContext, answer: Answer, trigger: Trigger | None, job_id: str
) -> None:
    """Add to an answer what a trigger does, or why that cannot be told."""
    if trigger is None:
        return
    try:
        answer.explanation = await explain_trigger(
            context.scheduler, trigger, job_id=job_id, count=FIRES
        )
    except DulyError as error:
        answer.problems.setdefault("trigger.exclude", f"{error}")


async def _previewed(
    context: RequestContext, form: JobForm, found: TypedJob, posted: Posted
) -> Answer:
    """Return the preview, and what is wrong; only with the trigger, if a preview was asked for."""
    asked = "preview" in posted
    problems = {
        name: text
        for name, text in found.problems.items()
        if not asked or name.startswith("trigger.")
    }
    answer = Answer(422 if problems else 200, problems)
    job_id = form.job.id if form.job else found.changes.get("id", "preview")
    await _explain(context, answer, found.trigger, job_id)
    return answer


async def _conflict(
    context: RequestContext, form: JobForm, found: TypedJob, posted: Posted
) -> Answer:
    answer = await _previewed(context, form, found, posted)
    answer.status, answer.conflict, answer.overwrites = 409, True, tuple(found.changes)
    return answer


def _refused(error: DulyError | HTTPException) -> Answer:
    """Return what the scheduler has refused, at the input that it is about."""
    problem = Problem.of(error)
    text = f"{problem.detail[:1].upper()}{problem.detail[1:]}"
    if isinstance(error, HTTPException):
        return Answer(error.status_code, {OWNER.name: text})
    if isinstance(error, DuplicateJob):
        text = f"A job with the id {error.job_id!r} exists already."
    names = {
        DuplicateJob: "id",
        JobNotFound: "trigger.parents",
        DependencyError: "trigger.parents",
        ArgumentsError: "args",
        PayloadError: "args",
        TriggerError: "trigger.exclude",
    }
    name = next((name for kind, name in names.items() if isinstance(error, kind)), "form")
    known = problem_of_option(error) if name == "form" else {}
    return Answer(problem.status, dict.fromkeys(known, text) or {name: text})


async def _show(
    context: RequestContext, form: JobForm, typed: Mapping[str, Sequence[str]], answer: Answer
) -> Response:
    return await render(
        context,
        "job_form.html",
        refresh=REFRESH_S,
        http_status=answer.status,
        form=form,
        typed=typed,
        text_of=partial(first, typed),
        answer=answer,
        labels=labels(form),
        options_open=any(name.startswith(("options.", "tags")) for name in answer.problems),
        **_choices(context, await _suggested(context)),
    )


def _choices(context: RequestContext, jobs: list[str]) -> dict[str, Any]:
    return {
        "kinds": KINDS,
        "units": [(unit, unit) for unit in UNITS],
        "groups": GROUPS,
        "owner": OWNER,
        "owner_choices": [("", "choose…"), *((owner, owner) for owner in context.owners or ())],
        "zones": _zones(),
        "suggested": jobs,
    }


async def _suggested(context: RequestContext) -> list[str]:
    jobs: list[JobRecord] = await context.scheduler.aio.jobs(
        owners=context.owners, limit=MAX_SUGGESTED
    )
    return [job.id for job in jobs]


@lru_cache(maxsize=1)
def _zones() -> list[str]:
    return sorted(zoneinfo.available_timezones())
