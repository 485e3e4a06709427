"""The REST API that shows what a trigger does before a job uses it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from duly.scheduler import Scheduler
from duly.triggers import Explanation, Trigger, explain
from duly.web.api.job_bodies import TriggerInput, Zone, read_trigger
from duly.web.api.paging import BodyModel, Instant
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="preview")
MAX_FIRES = 100


class PreviewBody(BodyModel):
    """A trigger, and how many of its times to show."""

    trigger: TriggerInput
    tz: Zone | None = None
    after: Annotated[
        Instant | None, Field(description="Show the times after this instant; default: now.")
    ] = None
    count: Annotated[int, Field(ge=1, le=MAX_FIRES)] = 10


class FirePreview(BaseModel):
    """One time of a trigger.

    Attributes:
        instant: the instant, in UTC.
        local: the same instant on the clock of the trigger's zone, with its offset.
        marks: ``gap``, ``fold``, ``excluded`` or ``moved``; see ``note``.
        note: the marks in words.
    """

    instant: str
    local: str
    marks: list[str]
    note: str


class Preview(BaseModel):
    """What a trigger does.

    Attributes:
        text: the trigger in English.
        crontab: the equivalent cron expression, if there is one.
        tz: the zone of the local times.
        definition: the trigger as JSON, as it would be stored.
        fires: the next times, including those that a calendar excludes.
        warnings: what may surprise, one sentence each.
    """

    text: str
    crontab: str | None
    tz: str
    definition: dict[str, Any]
    fires: list[FirePreview]
    warnings: list[str]


@routes.post("/preview", role="viewer", scope="shared")
async def preview_trigger(context: Context, body: PreviewBody) -> Preview:
    """Explain a trigger in English, with its next times and with warnings; nothing is stored."""
    trigger = read_trigger(body.trigger, body.tz)
    assert trigger is not None  # noqa: S101 - the member is required
    explanation = await explain_trigger(
        context.scheduler, trigger, after=body.after, count=body.count
    )
    return _show(trigger, explanation)


async def explain_trigger(
    scheduler: Scheduler,
    trigger: Trigger,
    *,
    job_id: str = "preview",
    after: datetime | None = None,
    count: int = 10,
) -> Explanation:
    """Return what a trigger does if a job uses it from now on.

    Args:
        scheduler: the scheduler, which has the zone and the calendars.
        trigger: the trigger as given.
        job_id: the id of the job, which decides what ``H`` in a cron expression stands for.
        after: the instant after which times are shown; default: now.
        count: the number of times to show.

    Raises:
        TriggerError: it excludes a calendar that is not stored, or the search reached its limit.
    """
    calendars = await scheduler.aio.calendars()
    now, zone = scheduler.clock.now(), scheduler.settings.timezone

    def preview() -> Explanation:
        bound = trigger.bind(job_id=job_id, tz=zone, anchor=now, calendars=calendars)
        return explain(bound, after or now, count, tz=zone)

    return await run_in_threadpool(preview)


def _show(trigger: Trigger, explanation: Explanation) -> Preview:
    return Preview(
        text=explanation.text,
        crontab=explanation.crontab,
        tz=explanation.tz,
        definition=trigger.to_json(),
        fires=[
            FirePreview(
                instant=fire.instant.isoformat(),
                local=fire.local.isoformat(),
                marks=list(fire.marks),
                note=fire.note,
            )
            for fire in explanation.fires
        ],
        warnings=list(explanation.warnings),
    )
