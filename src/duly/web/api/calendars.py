"""The REST API of named calendars, such as holidays, which triggers exclude."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Body, Query
from pydantic import BaseModel

from duly.errors import CalendarNotFound
from duly.triggers import Calendar, decode_calendar, encode_calendar
from duly.web.api.paging import PageQuery, page_of_all
from duly.web.api.schemas import Page
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="calendars")
EXAMPLE = {"kind": "dates", "days": ["2026-12-24", "2026-12-31"]}


class NamedCalendar(BaseModel):
    """A calendar and the name by which triggers refer to it.

    Attributes:
        name: the name.
        definition: the calendar as JSON.
        text: what it excludes, in English.
    """

    name: str
    definition: dict[str, Any]
    text: str


def _show(name: str, calendar: Calendar) -> NamedCalendar:
    definition = json.loads(encode_calendar(calendar))
    return NamedCalendar(name=name, definition=definition, text=calendar.describe())


@routes.get("/calendars")
async def list_calendars(
    context: Context, query: Annotated[PageQuery, Query()]
) -> Page[NamedCalendar]:
    """List all calendars, sorted by name."""
    calendars = await context.scheduler.aio.calendars()
    shown = [_show(name, calendar) for name, calendar in calendars.items()]
    return page_of_all(shown, query, lambda calendar: calendar.name)


@routes.get("/calendars/{name}")
async def show_calendar(context: Context, name: Name) -> NamedCalendar:
    """Return a calendar."""
    calendars = await context.scheduler.aio.calendars()
    if name not in calendars:
        raise CalendarNotFound(name)
    return _show(name, calendars[name])


@routes.put("/calendars/{name}")
async def set_calendar(
    context: Context, name: Name, body: Annotated[dict[str, Any], Body(examples=[EXAMPLE])]
) -> NamedCalendar:
    """Store a calendar; the jobs that use it change at once."""
    calendar = decode_calendar(json.dumps(body))
    await context.scheduler.aio.set_calendar(name, calendar, actor=context.actor)
    return _show(name, calendar)


@routes.delete("/calendars/{name}")
async def remove_calendar(context: Context, name: Name) -> None:
    """Remove a calendar that no job uses."""
    await context.scheduler.aio.remove_calendar(name, actor=context.actor)
