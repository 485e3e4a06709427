"""The REST API of notices: rules, the outbox, and tests of channels."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from duly.model.notice import NoticeRecord, NoticeState
from duly.model.notice_rule import MAX_LISTED, NoticeRule, QuietHours
from duly.web.api.paging import BodyModel, Limit, PageQuery, QueryModel, Text, page, page_of_all
from duly.web.api.schemas import Page
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="notices")
Names = Annotated[list[Text], Field(max_length=MAX_LISTED)]
To = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        description="The name of a channel that code configures, an e-mail address, or a URL.",
        examples=["ops@example.com"],
    ),
]


class QuietHoursBody(BodyModel):
    """The hours of each day in which only what is urgent is sent.

    Attributes:
        start: when they begin, as local time.
        end: when they end; if that is earlier than ``start``, on the following day.
        timezone: the IANA name of the zone of both.
    """

    start: Annotated[Text, Field(examples=["22:00"])]
    end: Annotated[Text, Field(examples=["07:00"])]
    timezone: Text = "UTC"


class RuleBody(BodyModel):
    """A new rule: notices of these events, of these jobs or runs, to these recipients.

    An event must meet every condition that is given; an empty one is met by every event.
    """

    name: Annotated[Text, Field(examples=["billing fails"])]
    on: Annotated[Names, Field(min_length=1, examples=[["job.failing", "job.recovered"]])]
    to: Annotated[list[To], Field(min_length=1, max_length=MAX_LISTED)]
    jobs: Names = Field(default_factory=list)
    tags: Names = Field(default_factory=list)
    tasks: Names = Field(default_factory=list)
    queues: Names = Field(default_factory=list)
    owners: Names = Field(default_factory=list)
    every: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    quiet: QuietHoursBody | None = None
    urgent: Names = Field(default_factory=list)


class RulesQuery(PageQuery):
    """Which page of the rules to return."""

    after: Annotated[str | None, Field(max_length=400)] = None


class RuleQuery(QueryModel):
    """Which of the rules of this name is meant.

    Attributes:
        app: the application whose code declares it; default: the one that was added by a call.
    """

    app: Text = ""


class OutboxQuery(QueryModel):
    """Filters for notices, all of which must match.

    Attributes:
        state: return only notices in this state.
        rule: return only notices of this rule.
        after: return only notices that are older than the one with this id.
    """

    state: NoticeState | None = None
    rule: Text | None = None
    after: Text | None = None
    limit: Limit = 100


class NoticeTest(BodyModel):
    """Where to send a test notice."""

    to: To


@routes.get("/notify/rules")
async def list_notice_rules(
    context: Context, query: Annotated[RulesQuery, Query()]
) -> Page[NoticeRule]:
    """List the notice rules: those added by calls first, then those of each application."""
    rules = await context.scheduler.aio.notice_rules()
    return page_of_all(rules, query, lambda rule: f"{rule.app}/{rule.name}")


@routes.post("/notify/rules", role="admin", status=201)
async def add_notice_rule(context: Context, body: RuleBody) -> NoticeRule:
    """Add a notice rule.

    Addresses are sent through the mail server that is configured where workers run, and webhooks
    are signed with the secret that is configured there.
    """
    conditions: dict[str, Any] = body.model_dump(exclude={"quiet"})
    if body.quiet is not None:
        conditions["quiet"] = QuietHours(**body.quiet.model_dump())
    name = conditions.pop("name")
    return await context.scheduler.aio.add_notice_rule(name, **conditions, actor=context.actor)


@routes.delete("/notify/rules/{name}")
async def remove_notice_rule(
    context: Context, name: Name, query: Annotated[RuleQuery, Query()]
) -> None:
    """Remove a notice rule; one that code declares comes back at the application's next start."""
    await context.scheduler.aio.remove_notice_rule(name, app=query.app, actor=context.actor)


@routes.get("/notify/outbox")
async def list_notices(
    context: Context, query: Annotated[OutboxQuery, Query()]
) -> Page[NoticeRecord]:
    """List the notices of the outbox, newest first."""
    found = await context.scheduler.aio.notices(
        state=query.state, rule=query.rule, before=query.after, limit=query.limit + 1
    )
    return page(found, query.limit, lambda notice: notice.id)


@routes.get("/notify/outbox/{notice_id}")
async def show_notice(context: Context, notice_id: Name) -> NoticeRecord:
    """Return a notice of the outbox."""
    return await context.scheduler.aio.notice(notice_id)


@routes.post("/notify/outbox/{notice_id}/retry")
async def retry_notice(context: Context, notice_id: Name) -> NoticeRecord:
    """Send a notice again that could not be sent."""
    return await context.scheduler.aio.retry_notice(notice_id, actor=context.actor)


@routes.post("/notify/test", role="admin", status=202)
async def send_test_notice(context: Context, body: NoticeTest) -> NoticeRecord:
    """Put a test notice into the outbox; ``GET /notify/outbox/{id}`` shows what becomes of it."""
    return await context.scheduler.aio.send_test_notice(body.to, actor=context.actor)
