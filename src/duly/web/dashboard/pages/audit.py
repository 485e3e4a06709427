"""The audit trail: who did what, when and why, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query
from starlette.responses import Response

from duly.errors import DulyError
from duly.model.event import KINDS
from duly.web.api.paging import Number, QueryModel, Text, page
from duly.web.context import Context
from duly.web.dashboard.faults import Faults
from duly.web.dashboard.rendering import render
from duly.web.dashboard.sentences import facts, sentence, title, why
from duly.web.routes import Routes

PAGE_SIZE = 50
ROUTINE = frozenset({"run.started", "run.succeeded"})
"""The kinds that are not stored, so that no search finds them."""

TITLES: Mapping[str, str] = {
    "job": "Jobs", "jobs": "Jobs, changed together", "run": "Runs",
    "runs": "Runs, changed together", "queue": "Queues", "limit": "Limits of concurrency keys",
    "worker": "Workers", "scheduler": "The scheduler", "key": "Keys", "calendar": "Calendars",
    "notice": "Notices", "notice_rule": "Notice rules",
}  # fmt: skip
OF_ALL = frozenset(TITLES) - {"job", "run"}
"""The groups of kinds that concern all owners."""

routes = Routes(tag=None)


class AuditQuery(QueryModel):
    """The filters of the audit trail, all of which must match."""

    kind: Text | None = None
    actor: Text | None = None
    job: Text | None = None
    run: Text | None = None
    since: Text | None = None
    until: Text | None = None
    before: Number | None = None


@routes.get("/audit", scope="own")
async def show_audit(context: Context, query: Annotated[AuditQuery, Query()]) -> Response:
    """Show the events that match the filters, newest first."""
    zone = ZoneInfo(context.scheduler.settings.timezone)
    found, faults = [], Faults()
    try:
        filters: dict[str, Any] = query.model_dump()
        filters |= {name: _instant(filters[name], zone) for name in ("since", "until")}
        found = await context.scheduler.aio.events(
            **filters, owners=context.owners, newest=True, limit=PAGE_SIZE + 1
        )
    except ValueError:
        faults = Faults(422, general="Write a time as 2026-12-24 18:00.")
    except DulyError as error:
        faults = Faults.found(error)
    return await render(
        context,
        "audit.html",
        http_status=faults.code,
        page=page([event.redacted() for event in found], PAGE_SIZE, lambda event: event.id),
        query=query,
        kinds=_kinds(context.owners is None),
        faults=faults,
        sentence=sentence,
        title_of=title,
        why=why,
        facts=facts,
    )


def _kinds(everything: bool) -> list[tuple[str, Sequence[str]]]:
    """Return the kinds of events that a search may find, in groups with titles."""
    known = sorted(KINDS - ROUTINE)
    groups = [
        (name, list(kinds)) for name, kinds in groupby(known, lambda kind: kind.split(".")[0])
    ]
    return [(TITLES[name], kinds) for name, kinds in groups if everything or name not in OF_ALL]


def _instant(text: str | None, zone: ZoneInfo) -> datetime | None:
    """Return an instant; one without an offset is a time in the page's zone.

    Raises:
        ValueError: the text is not a time.
    """
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
