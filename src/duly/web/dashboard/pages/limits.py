"""The forms of limits over all workers: of a queue, and of a concurrency key."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from starlette.exceptions import HTTPException
from starlette.responses import Response

from duly.web.api.limits import LimitBody
from duly.web.api.queues import QueueLimits
from duly.web.context import Context
from duly.web.dashboard.actions.form import Action, ActionForm, redirect
from duly.web.dashboard.faults import REFUSED, Faults, read_form
from duly.web.dashboard.rendering import render
from duly.web.paths import Name
from duly.web.routes import Routes

routes = Routes(tag=None)


class QueueForm(ActionForm):
    """The limits of a queue as they were typed."""

    max_running: str = ""
    rate: str = ""
    per: str = ""


class KeyForm(ActionForm):
    """A concurrency key and its limit as they were typed."""

    key: str = ""
    max_running: str = ""


@routes.post("/queues/{name}/limits", role="admin")
async def limit_queue(context: Context, name: Name, form: Annotated[QueueForm, Form()]) -> Response:
    """Set the limits of a queue; an empty field removes one."""
    try:
        typed = {"max_running": form.max_running, "rate": form.rate, "per": form.per}
        limits = read_form(QueueLimits, typed)
        await context.scheduler.aio.set_queue(
            name, **limits.model_dump(), actor=context.because(form.reason)
        )
    except REFUSED as error:
        faults = Faults.found(error)
        return await render(
            context, "limit_queue.html", refresh=None, http_status=faults.code, faults=faults,
            name=name, form=form,
        )  # fmt: skip
    return redirect(context, form, "workers", done="queue-limited")


@routes.post("/limits", role="admin")
async def limit_key(context: Context, form: Annotated[KeyForm, Form()]) -> Response:
    """Set the limit of a concurrency key."""
    try:
        limit = read_form(LimitBody, {"max_running": form.max_running})
        await context.scheduler.aio.set_limit(
            form.key, limit.max_running, actor=context.because(form.reason)
        )
    except REFUSED as error:
        faults = Faults.found(error)
        return await render(
            context,
            "limit_key.html",
            refresh=None,
            http_status=faults.code,
            faults=faults,
            form=form,
        )
    return redirect(context, form, "workers", done="limit-set")


@routes.post("/limits/{key}/remove", role="admin")
async def remove_limit(context: Context, key: Name, form: Action) -> Response:
    """Remove the limit of a concurrency key."""
    if not await context.scheduler.aio.remove_limit(key, actor=context.because(form.reason)):
        raise HTTPException(404, f"The concurrency key {key!r} has no limit.")
    return redirect(context, form, "workers", done="limit-removed")
