"""The notices: rules that tell people of events, and the outbox of what is sent to them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Form
from pydantic import Field
from starlette.responses import Response

from duly.model.notice import NoticeRecord
from duly.model.notice_rule import KINDS, MAX_LISTED, is_url
from duly.web.api import notices as api
from duly.web.api.notices import NoticeTest, RuleBody
from duly.web.context import Context, RequestContext
from duly.web.dashboard.actions.form import ActionForm, redirect
from duly.web.dashboard.faults import REFUSED, Faults, listed, read_form
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

MAX_NOTICES = 30
Kinds = Annotated[list[str], Field(max_length=MAX_LISTED)]

routes = Routes(tag=None)


class RuleForm(ActionForm):
    """A new notice rule as it was typed."""

    name: str = ""
    on: Kinds = Field(default_factory=list)
    to: str = ""
    jobs: str = ""
    tags: str = ""
    tasks: str = ""
    queues: str = ""
    every: str = ""
    start: str = ""
    end: str = ""
    timezone: str = ""
    urgent: Kinds = Field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """Return what the body of the REST API calls these."""
        lists = ("to", "jobs", "tags", "tasks", "queues")
        quiet = {"start": self.start, "end": self.end, "timezone": self.timezone}
        given = {name: text for name, text in quiet.items() if text}
        return {
            "name": self.name,
            "on": self.on,
            "every": self.every,
            "urgent": self.urgent,
            "quiet": given if self.start or self.end else None,
            **{name: listed(getattr(self, name)) for name in lists},
        }


class TestForm(ActionForm):
    """Where to send a test notice, as it was typed."""

    to: str = ""


@routes.get("/settings/notices")
async def show_notices(context: Context) -> Response:
    """Show the notice rules and the newest notices."""
    return await _show(context, _empty(context), TestForm(), Faults(), Faults())


@routes.post("/settings/notices", role="admin")
async def add_rule(context: Context, form: Annotated[RuleForm, Form()]) -> Response:
    """Add a notice rule."""
    try:
        await api.add_notice_rule(context, read_form(RuleBody, form.fields()))
    except REFUSED as error:
        return await _show(context, form, TestForm(), Faults.found(error), Faults())
    return redirect(context, form, "settings", "notices", done="rule-added")


@routes.post("/settings/notices/test", role="admin")
async def send_test(context: Context, form: Annotated[TestForm, Form()]) -> Response:
    """Put a test notice into the outbox."""
    try:
        await api.send_test_notice(context, read_form(NoticeTest, {"to": form.to.strip()}))
    except REFUSED as error:
        return await _show(context, _empty(context), form, Faults(), Faults.found(error))
    return redirect(context, form, "settings", "notices", done="test-sent")


def _empty(context: RequestContext) -> RuleForm:
    return RuleForm(timezone=context.scheduler.settings.timezone)


async def _show(
    context: RequestContext, form: RuleForm, test: TestForm, faults: Faults, untested: Faults
) -> Response:
    code = max(faults.code, untested.code)
    rules = await context.scheduler.aio.notice_rules()
    found: list[NoticeRecord] = await context.scheduler.aio.notices(limit=MAX_NOTICES)
    return await render(
        context,
        "notices.html",
        refresh=5 if code == 200 else None,
        http_status=code,
        rules=[rule.redacted() for rule in rules],
        recipients=sorted({to for rule in rules for to in rule.to if not is_url(to)}),
        notices=[notice.redacted() for notice in found],
        form=form,
        test=test,
        faults=faults,
        untested=untested,
        kinds=sorted(KINDS),
    )
