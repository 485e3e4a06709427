"""The named calendars: what each excludes in the next year, and forms to change them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Form
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from duly.errors import CalendarNotFound, TriggerError
from duly.triggers import Calendar, decode_calendar, encode_calendar
from duly.web.context import Context, RequestContext
from duly.web.dashboard.actions.form import ActionForm, redirect
from duly.web.dashboard.faults import REFUSED, Faults
from duly.web.dashboard.rendering import read_status, render
from duly.web.paths import Name
from duly.web.routes import Routes

AHEAD_DAYS = 366
EXAMPLES = (
    ("weekends", '{"kind": "weekends"}'),
    ("certain days", '{"kind": "dates", "days": ["2026-12-24", "2026-12-31"]}'),
    ("public holidays", '{"kind": "holidays", "country": "ES"}'),
)

routes = Routes(tag=None)


class CalendarForm(ActionForm):
    """A calendar as it was typed."""

    name: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True)
class ExcludedDays:
    """The days of the next year that a calendar excludes, or a part of them.

    Attributes:
        calendar: the calendar.
        days: these days, in order.
    """

    calendar: Calendar
    days: list[date]


@routes.get("/settings/calendars")
async def show_calendars(context: Context) -> Response:
    """Show the calendars, and a form for another one."""
    return await _show_all(context, CalendarForm(), Faults())


@routes.post("/settings/calendars", role="admin")
async def add_calendar(context: Context, form: Annotated[CalendarForm, Form()]) -> Response:
    """Store a new calendar."""
    if form.name in await context.scheduler.aio.calendars():
        taken = f"There is a calendar {form.name} already; open it to change it."
        return await _show_all(context, form, Faults(409, {"name": taken}))
    try:
        await _store(context, form.name, form)
    except REFUSED as error:
        return await _show_all(context, form, _faults(error))
    return redirect(context, form, "settings", "calendars", done="calendar-set")


@routes.get("/settings/calendars/{name}")
async def show_calendar(context: Context, name: Name) -> Response:
    """Show a calendar: the days that it excludes, and a form to change it."""
    calendar = await _calendar(context, name)
    text = json.dumps(json.loads(encode_calendar(calendar)), indent=2, ensure_ascii=False)
    return await _show_one(context, CalendarForm(name=name, definition=text), Faults())


@routes.post("/settings/calendars/{name}", role="admin")
async def change_calendar(
    context: Context, name: Name, form: Annotated[CalendarForm, Form()]
) -> Response:
    """Replace a calendar; the jobs that use it change at once."""
    await _calendar(context, name)
    form = form.model_copy(update={"name": name})
    try:
        await _store(context, name, form)
    except REFUSED as error:
        return await _show_one(context, form, _faults(error))
    return redirect(context, form, "settings", "calendars", name, done="calendar-set")


async def _store(context: RequestContext, name: str, form: CalendarForm) -> None:
    calendar = decode_calendar(form.definition)
    await context.scheduler.aio.set_calendar(name, calendar, actor=context.because(form.reason))


def _faults(error: Exception) -> Faults:
    if isinstance(error, TriggerError):
        return Faults(422, {"definition": Faults.found(error).general})
    return Faults.found(error)


async def _calendar(context: RequestContext, name: str) -> Calendar:
    calendars: Mapping[str, Calendar] = await context.scheduler.aio.calendars()
    if name not in calendars:
        raise CalendarNotFound(name)
    return calendars[name]


async def _show_all(context: RequestContext, form: CalendarForm, faults: Faults) -> Response:
    status = await read_status(context)
    calendars = await context.scheduler.aio.calendars()
    return await render(
        context,
        "calendars.html",
        refresh=30 if faults.code == 200 else None,
        http_status=faults.code,
        status=status,
        calendars=await run_in_threadpool(_excluded, context, calendars, status.at),
        ahead=AHEAD_DAYS,
        examples=EXAMPLES,
        form=form,
        faults=faults,
    )


async def _show_one(context: RequestContext, form: CalendarForm, faults: Faults) -> Response:
    status = await read_status(context)
    calendars = await context.scheduler.aio.calendars()
    excluded = await run_in_threadpool(_excluded, context, calendars, status.at)
    return await render(
        context,
        "calendar.html",
        refresh=30 if faults.code == 200 else None,
        http_status=faults.code,
        status=status,
        excluded=excluded[form.name],
        ahead=AHEAD_DAYS,
        form=form,
        faults=faults,
    )


def _excluded(
    context: RequestContext, calendars: Mapping[str, Calendar], now: datetime
) -> dict[str, ExcludedDays]:
    """Return what each calendar excludes, by its name."""
    zone = ZoneInfo(context.scheduler.settings.timezone)
    today = now.astimezone(zone).date()
    ahead = [today + timedelta(days=number) for number in range(AHEAD_DAYS)]
    return {
        name: ExcludedDays(
            calendar,
            [day for day in ahead if calendar.resolved(calendars).touches(day, zone)],
        )
        for name, calendar in calendars.items()
    }
