"""Rendering of pages: the templates, and the values that every page needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse

from duly.model.event import KINDS
from duly.operations.status import Status
from duly.scheduler import Scheduler
from duly.web import csrf
from duly.web.access import Principal
from duly.web.context import RequestContext
from duly.web.dashboard import elements, formatting
from duly.web.dashboard.appearance import theme_of
from duly.web.dashboard.confirmations import confirmation_of_many
from duly.web.dashboard.links import Links
from duly.web.dashboard.refusals import Refusal
from duly.web.dashboard.static_files import STYLES
from duly.web.dashboard.times import Times
from duly.web.dashboard.worker_views import state_of
from duly.web.page_updates import is_update
from duly.web.paths import API_PREFIX
from duly.web.problems import Problem

CONFIRMATIONS = {
    "created": "The job was created.",
    "saved": "The changes were saved.",
    "unchanged": "Nothing has changed.",
    "paused": "The job was paused.",
    "was-paused": "Nothing has changed: the job was already paused.",
    "resumed": "The job was resumed.",
    "not-paused": "Nothing has changed: the job was not paused.",
    "started": "The run was created.",
    "backfilled": "The runs of the backfill were created.",
    "nothing-to-backfill": "Nothing has changed: all times of that period have run.",
    "reset": "The job was reset to its declaration in code.",
    "moved": "The job was moved to another queue, and its runs that had not started with it.",
    "removed": "The job was removed.",
    "cancelled": "Cancellation was requested.",
    "retried": "The run will be tried again.",
    "discarded": "The run was discarded.",
    "queue-paused": "The queue was paused.",
    "queue-resumed": "The queue was resumed.",
    "queue-limited": "The limits of the queue were set.",
    "limit-set": "The limit of the concurrency key was set.",
    "limit-removed": "The limit of the concurrency key was removed.",
    "draining": "The worker was asked to drain, which its next heartbeat obeys.",
    "key-revoked": "The key was revoked: every later request with it is refused.",
    "rule-added": "The notice rule was added; all processes follow it within 10 seconds.",
    "rule-removed": "The notice rule was removed.",
    "notice-sent-again": "The notice will be sent again.",
    "test-sent": "A test notice was put into the outbox, where you see what becomes of it.",
    "calendar-set": "The calendar was stored, and the jobs that use it follow it.",
    "calendar-removed": "The calendar was removed.",
    "theme-set": "This browser keeps the theme.",
    "stopped": "The scheduler was switched off in all workers.",
    "switched-on": "The scheduler was switched on again.",
}
"""The confirmation of an action by the code in the URL, so that no URL can inject text."""

AREAS = (
    ("", "Overview", "g o"),
    ("jobs", "Jobs", "g j"),
    ("runs", "Runs", "g r"),
    ("dead-letters", "Dead letters", "g d"),
    ("workers", "Workers", "g w"),
    ("audit", "Audit", "g a"),
    ("settings", "Settings", "g s"),
)
"""The areas of the dashboard: path, title and the keys that open it."""

OF_OWNERS = frozenset({"jobs", "runs", "dead-letters", "audit", "settings"})
"""The areas that users may see who are restricted to some owners."""

_templates = Environment(
    auto_reload=False,
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(elements=elements, formatting=formatting, styles=STYLES)


async def render(
    context: RequestContext,
    template: str,
    *,
    refresh: float | None = 5,
    eager: bool = False,
    http_status: int = 200,
    zone: ZoneInfo | None = None,
    **values: Any,
) -> HTMLResponse:
    """Return a page of the dashboard, or the parts of it that change, to update an open page.

    An update is shared by all users who may see the same, see `duly.web.page_updates`: what depends
    on the user's name or browser is not among its parts.

    Args:
        context: the request.
        template: the name of the template.
        refresh: the seconds between two updates while the page is visible and not streamed to;
            ``None``: it never changes by itself.
        zone: the time zone of the page; default: the scheduler's.
        eager: whether to update as often while it is: what it shows changes without an event.
        http_status: the HTTP status of the response.
        values: the values for the template; ``status`` is read unless it is given.
    """
    request = context.request
    status: Status = values.pop("status", None) or await read_status(context, brief=True)
    states = [state_of(worker, status.at) for worker in status.workers]
    update, code = is_update(request), request.query_params.get("done", "")
    streams = "wsgi_environ" not in request.scope
    text = _templates.get_template(template).render(
        values,
        layout="layout/update.html" if update else "layout/page.html",
        status=status,
        times=Times(status.at, zone or ZoneInfo(context.scheduler.settings.timezone)),
        links=Links(request),
        areas=[area for area in AREAS if context.owners is None or area[0] in OF_OWNERS],
        principal=context.principal,
        csrf="" if update else csrf.token_of(request),
        theme=theme_of(request),
        done=CONFIRMATIONS.get(code) or confirmation_of_many(code),
        refresh=refresh,
        eager=eager,
        events=" ".join(sorted(KINDS)),
        stream=f"{context.base}{API_PREFIX}/stream" if streams else None,
        alive=any(state != "silent" for state in states),
        working=states.count("alive"),
    )
    response = HTMLResponse(text, http_status)
    if not update:
        csrf.keep_token(response, request)
    return response


def render_part(context: RequestContext, template: str, **values: Any) -> HTMLResponse:
    """Return a part of a page, which a script adds to an open page.

    Args:
        context: the request.
        template: the name of the template, which has no layout.
        values: the values for the template.
    """
    times = Times(context.scheduler.clock.now(), ZoneInfo(context.scheduler.settings.timezone))
    return HTMLResponse(_templates.get_template(template).render(values, times=times))


async def read_status(context: RequestContext, *, brief: bool = False) -> Status:
    """Read the status of the scheduler; what every page shows of it is brief."""
    return (await context.scheduler.aio.status(brief=brief)).redacted()


async def show_problem(request: Request, problem: Problem, error: Exception) -> HTMLResponse:
    """Return an error page; it looks like the others if the user is known and the database works.

    Args:
        request: the request that failed.
        problem: the details of the error.
        error: the error.
    """
    refusal = Refusal.of(request.method, problem, error)
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is not None and problem.status < 500:
        scheduler: Scheduler = request.app.state.scheduler
        context = RequestContext(request, scheduler, principal, MutableHeaders())
        return await render(
            context,
            "problem.html",
            refresh=None,
            http_status=problem.status,
            problem=problem,
            refusal=refusal,
        )
    text = _templates.get_template("problem.html").render(
        layout="layout/bare.html",
        problem=problem,
        refusal=refusal,
        links=Links(request),
        theme=theme_of(request),
    )
    return HTMLResponse(text, problem.status)
