"""The keys of the REST API: which there are, and a new one, which is shown once."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from duly.web.api import keys as api
from duly.web.api.keys import NewKey
from duly.web.context import Context, RequestContext
from duly.web.dashboard.actions.form import ActionForm
from duly.web.dashboard.faults import REFUSED, Faults, listed, read_form
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

DAY = 86_400
VALIDITIES = (
    ("", "until it is revoked"),
    *((str(days * DAY), f"for {days} days") for days in (1, 7, 30, 90, 365)),
)

routes = Routes(tag=None)


class NewKeyForm(ActionForm):
    """A new key as it was typed."""

    name: str = ""
    role: str = "viewer"
    owners: str = ""
    expires_in: str = ""
    rate: str = ""


@routes.get("/settings/keys", role="admin")
async def show_keys(context: Context) -> Response:
    """Show the keys, newest first, and a form for another one."""
    return await _show(context, NewKeyForm(), Faults())


@routes.post("/settings/keys", role="admin")
async def create_key(context: Context, form: Annotated[NewKeyForm, Form()]) -> Response:
    """Create a key and show it, which no other page does."""
    typed = form.model_dump(exclude={"reason", "back", "csrf_token"})
    try:
        body = read_form(NewKey, {**typed, "owners": listed(form.owners)})
        created = await api.create_key(context, body)
    except REFUSED as error:
        return await _show(context, form, Faults.found(error))
    return await render(
        context,
        "key_created.html",
        refresh=None,
        http_status=201,
        key=created.key,
        record=created.record,
    )


async def _show(context: RequestContext, form: NewKeyForm, faults: Faults) -> Response:
    return await render(
        context,
        "keys.html",
        refresh=30 if faults.code == 200 else None,
        http_status=faults.code,
        keys=await context.scheduler.aio.keys(),
        form=form,
        faults=faults,
        validities=VALIDITIES,
    )
