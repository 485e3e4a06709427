"""Pages: templates, and what every page needs to know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from duly.web import csrf
from duly.web.api import schemas
from duly.web.dashboard import formatting
from duly.web.dashboard.static_files import VERSION
from duly.web.endpoint import RequestContext
from duly.web.paths import address, segment
from duly.web.problems import Problem

DONE = {
    "paused": "The job is paused.",
    "resumed": "The job fires again.",
    "started": "The run is on its way.",
    "cancelled": "The run was asked to stop.",
    "retried": "The run starts again.",
    "discarded": "The run was given up for good.",
    "queue-paused": "The queue is paused.",
    "queue-resumed": "The queue goes on.",
    "stopped": "The scheduler is switched off, in every worker.",
    "switched-on": "The scheduler is switched on again.",
}
"""What a page says after an action, by the code in its address: never text from outside."""

_ACTION = re.compile(r"(/(?:jobs|runs)/[^/]+)/[a-z]+")
_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(formatting=formatting, version=VERSION)


@dataclass(frozen=True, slots=True)
class Times:
    """How moments are shown on one page.

    Attributes:
        now: the scheduler's present, which every relative time refers to.
        zone: the zone of the times that are shown.
    """

    now: datetime
    zone: ZoneInfo

    def short(self, moment: datetime) -> str:
        """See `formatting.short_time`."""
        return formatting.short_time(moment, self.now, self.zone)

    def full(self, moment: datetime) -> str:
        """See `formatting.full_time`."""
        return formatting.full_time(moment, self.zone)

    def away(self, moment: datetime) -> str:
        """See `formatting.relative`."""
        return formatting.relative(moment, self.now)


class Links:
    """Addresses under this mount.

    Args:
        request: of the page that shows them.
    """

    def __init__(self, request: Request) -> None:
        self._base = request.scope.get("root_path") or ""
        self._path = address(request.scope)
        self._query = dict(request.query_params)

    def to(self, *parts: str, **query: str | None) -> str:
        """The address of a page; each part is one segment, whatever it holds."""
        path = f"{self._base}/{'/'.join(map(segment, parts))}"
        held = {name: value for name, value in query.items() if value}
        return f"{path}?{urlencode(held)}" if held else path

    def owner(self) -> str | None:
        """The page of the job or run that an action's address belongs to."""
        held = _ACTION.fullmatch(self._path.removeprefix(self._base))
        return self._base + held[1] if held else None

    def here(self, **changed: str | None) -> str:
        """The address of this page with other parameters."""
        held = {**self._query, **changed}
        held.pop("done", None)
        given = {name: value for name, value in held.items() if value}
        return f"{self._path}?{urlencode(given)}" if given else self._path


async def render(
    context: RequestContext, template: str, *, refresh: float = 5, **facts: Any
) -> HTMLResponse:
    """A page of the dashboard.

    Args:
        context: the request.
        template: its file.
        refresh: seconds between two looks of the script, while the page is visible.
        facts: what the template shows; ``status`` is asked for where it is not given.
    """
    status: schemas.Status = facts.pop("status", None) or await read_status(context)
    zone = ZoneInfo(context.scheduler.settings.timezone)
    text = _templates.get_template(template).render(
        facts,
        status=status,
        times=Times(status.at, zone),
        links=Links(context.request),
        principal=context.principal,
        csrf=csrf.token_of(context.request),
        done=DONE.get(context.request.query_params.get("done", "")),
        refresh=refresh,
        alive=[worker for worker in status.workers if worker.lease_until > status.at],
    )
    answer = HTMLResponse(text)
    csrf.keep_token(answer, context.request)
    return answer


async def read_status(context: RequestContext) -> schemas.Status:
    """The scheduler's status, as the API shows it."""
    return schemas.Status.model_validate(await context.scheduler.aio.status())


def show_problem(request: Request, problem: Problem) -> HTMLResponse:
    """An error as a page."""
    text = _templates.get_template("problem.html").render(problem=problem, links=Links(request))
    return HTMLResponse(text, problem.status)
