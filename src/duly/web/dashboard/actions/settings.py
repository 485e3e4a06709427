"""What users do with the settings: the theme, keys, notice rules, notices and calendars."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form
from starlette.responses import Response

from duly.web.api.paging import Text
from duly.web.context import Context
from duly.web.cookies import remove_cookie, set_cookie
from duly.web.dashboard.actions.form import Action, ActionForm, redirect
from duly.web.dashboard.appearance import COOKIE
from duly.web.paths import Name
from duly.web.routes import Routes

A_YEAR_S = 365 * 86_400

routes = Routes(tag=None)


class ThemeForm(ActionForm):
    """The theme that a user chooses."""

    theme: Literal["light", "dark", "system"] = "system"


class RuleForm(ActionForm):
    """Which of the rules of a name is meant."""

    app: Text = ""


@routes.post("/settings/theme", role="viewer", scope="shared")
async def set_theme(context: Context, form: Annotated[ThemeForm, Form()]) -> Response:
    """Let this browser keep a theme for a year, or follow the system's again."""
    response = redirect(context, form, "settings", done="theme-set")
    if form.theme == "system":
        remove_cookie(response, context.request, COOKIE)
    else:
        set_cookie(response, context.request, COOKIE, form.theme, max_age=A_YEAR_S)
    return response


@routes.post("/settings/keys/{key_id}/revoke", role="admin")
async def revoke_key(context: Context, key_id: Name, form: Action) -> Response:
    """Revoke a key."""
    await context.scheduler.aio.revoke_key(key_id, actor=context.because(form.reason))
    return redirect(context, form, "settings", "keys", done="key-revoked")


@routes.post("/settings/notices/{name}/remove", role="admin")
async def remove_rule(context: Context, name: Name, form: Annotated[RuleForm, Form()]) -> Response:
    """Remove a notice rule."""
    await context.scheduler.aio.remove_notice_rule(
        name, app=form.app, actor=context.because(form.reason)
    )
    return redirect(context, form, "settings", "notices", done="rule-removed")


@routes.post("/settings/outbox/{notice_id}/retry")
async def retry_notice(context: Context, notice_id: Name, form: Action) -> Response:
    """Send a notice again."""
    await context.scheduler.aio.retry_notice(notice_id, actor=context.because(form.reason))
    return redirect(context, form, "settings", "notices", done="notice-sent-again")


@routes.post("/settings/calendars/{name}/remove", role="admin")
async def remove_calendar(context: Context, name: Name, form: Action) -> Response:
    """Remove a calendar that no job uses."""
    await context.scheduler.aio.remove_calendar(name, actor=context.because(form.reason))
    return redirect(context, form, "settings", "calendars", done="calendar-removed")
