"""The operator's page: the scheduler, its jobs, their history and dead letters."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import Response

from apps.alerts import operations
from apps.alerts.history import OUTCOMES, STATES, show_dead_letter, show_run
from apps.alerts.pages.browser import Browser, Sender, Visitor
from apps.alerts.scheduling import ALERTS
from duly import DulyError

router = APIRouter(prefix="/scheduler", include_in_schema=False)

JOBS, RUNS, LETTERS = 50, 30, 50


@dataclass(frozen=True, slots=True)
class Choice:
    """The query of the page: which runs, and after which job and run its lists begin."""

    outcome: str = ""
    jobs_after: str = ""
    runs_after: str = ""
    done: str = ""


NEWEST = Choice()


@router.get("/ui", name="scheduler")
async def overview(browser: Visitor, choice: Annotated[Choice, Depends(Choice)]) -> Response:
    """Show the status of the scheduler, jobs, history and dead letters."""
    return await _overview(browser, choice)


@router.post("/start", name="start-scheduler")
async def start(browser: Sender) -> Response:
    """Start the scheduler in all processes."""
    return await _act(
        browser, "started", operations.switch(browser.services, browser.admin, on=True)
    )


@router.post("/stop", name="stop-scheduler")
async def stop(browser: Sender) -> Response:
    """Stop the scheduler in all processes; running executions finish."""
    return await _act(
        browser, "stopped", operations.switch(browser.services, browser.admin, on=False)
    )


@router.post("/reload", name="reload-scheduler")
async def reload(browser: Sender) -> Response:
    """Compare all alerts with their jobs, and change what differs."""
    return await _act(browser, "reloaded", operations.reload_jobs(browser.services, browser.admin))


@router.post("/jobs/{job_id}/run", name="run-job")
async def run_job(browser: Sender, job_id: str) -> Response:
    """Run a job now."""
    return await _act(browser, "ran", operations.run_job(browser.services, browser.admin, job_id))


@router.post("/jobs/{job_id}/pause", name="pause-job")
async def pause(browser: Sender, job_id: str) -> Response:
    """Pause a job."""
    call = operations.pause_job(browser.services, browser.admin, job_id, paused=True)
    return await _act(browser, "paused", call)


@router.post("/jobs/{job_id}/resume", name="resume-job")
async def resume(browser: Sender, job_id: str) -> Response:
    """Resume a paused job."""
    call = operations.pause_job(browser.services, browser.admin, job_id, paused=False)
    return await _act(browser, "resumed", call)


@router.post("/dead-letters/{run_id}/requeue", name="requeue-letter")
async def requeue(browser: Sender, run_id: str) -> Response:
    """Run a dead letter again, for the same scheduled time."""
    return await _act(
        browser, "requeued", operations.requeue(browser.services, browser.admin, run_id)
    )


@router.post("/dead-letters/{run_id}/discard", name="discard-letter")
async def discard(browser: Sender, run_id: str) -> Response:
    """Close a dead letter."""
    return await _act(
        browser, "discarded", operations.discard(browser.services, browser.admin, run_id)
    )


async def _act(browser: Browser, done: str, call: Awaitable[Any]) -> Response:
    """Do something and return to the page; if that is refused, show why on the page."""
    try:
        await call
    except HTTPException as error:
        return await _overview(browser, NEWEST, str(error.detail), error.status_code)
    except DulyError as error:
        return await _overview(browser, NEWEST, str(error), 409)
    return browser.go_to("scheduler", {"done": done})


async def _overview(
    browser: Browser, choice: Choice, fault: str | None = None, status: int = 200
) -> Response:
    services, scheduler, _ = browser.services, browser.services.scheduler, browser.admin
    state = await scheduler.aio.status(brief=True)
    outcome = next((name for name in OUTCOMES if name == choice.outcome), None)
    runs = await scheduler.aio.runs(
        queue=ALERTS, state=None if outcome is None else STATES[outcome],
        after=operations.run_id(choice.runs_after or None), limit=RUNS,
    )  # fmt: skip
    letters = await operations.dead_letters(services, limit=LETTERS)
    jobs, more = await operations.job_page(services, after=choice.jobs_after or None, limit=JOBS)
    shown = [show_run(run) for run in runs]
    dead = [show_dead_letter(run) for run in letters]
    return await browser.show(
        "scheduler.html", status=status, word=operations.word_for(state), switch=state.switch,
        workers=operations.alive_workers(state), live=state.live,
        job_count=await scheduler.aio.count_jobs(tag=ALERTS),
        jobs=jobs, jobs_after=jobs[-1]["id"] if more else None,
        runs=shown, runs_after=runs[-1].id if runs.more else None,
        letters=dead, unschedulable=await operations.unschedulable(services),
        names=await operations.names_of(services, [run["alert_id"] for run in (*shown, *dead)]),
        zone=services.settings.default_timezone, outcome=outcome, outcomes=OUTCOMES,
        choice=choice, fault=fault,
    )  # fmt: skip
