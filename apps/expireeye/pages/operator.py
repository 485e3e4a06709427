"""The operator's page: the status and history of the scheduler."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import Response

from apps.expireeye.api.operator import actor, change_frequency, run_check
from apps.expireeye.frequency import NAMED, name_of
from apps.expireeye.health import readiness
from apps.expireeye.history import history, last_executed
from apps.expireeye.jobs import CHECK
from apps.expireeye.models import User
from apps.expireeye.pages.browser import Browser, Sender, Visitor
from apps.expireeye.problems import Problem
from apps.outcomes import OUTCOMES

router = APIRouter(prefix="/operator", include_in_schema=False)

ROWS = 30


@router.get("", name="operator")
async def overview(browser: Visitor, outcome: str = "", done: str = "") -> Response:
    """Show the status of the check, its history and the form to change its frequency."""
    _operator(browser)
    services = browser.services
    wanted = outcome if outcome in OUTCOMES else None
    job = await services.scheduler.aio.job(CHECK)
    return await browser.show(
        "operator.html",
        job=job,
        frequency=name_of(job.trigger),
        last=await last_executed(services.scheduler),
        runs=await history(services.scheduler, limit=ROWS, outcome=wanted),
        state=await readiness(services),
        outcome=wanted,
        outcomes=OUTCOMES,
        done=done,
    )


@router.post("/run", name="run-now")
async def run_now(browser: Sender) -> Response:
    """Run the check now."""
    user = _operator(browser)
    try:
        run = await run_check(browser.services, user)
    except Problem:
        return browser.go_to("operator", {"done": "busy"})
    return browser.go_to("operator", {"done": "ran" if run.is_terminal else "started"})


@router.post("/frequency", name="set-frequency")
async def set_frequency(browser: Sender, frequency: Annotated[list[str], Form()]) -> Response:
    """Change how often the check runs, or reset it to the configured frequency."""
    user = _operator(browser)
    wanted = frequency[-1]  # the value of the button follows that of the radio buttons
    if wanted == "configured":
        await browser.services.scheduler.aio.reset(CHECK, actor=actor(user))
    elif wanted in NAMED:
        await change_frequency(browser.services, user, wanted)
    return browser.go_to("operator", {"done": "changed"})


def _operator(browser: Browser) -> User:
    if browser.user.role != "operator":
        raise Problem(403, "forbidden", "Only operators may see this page.")
    return browser.user
