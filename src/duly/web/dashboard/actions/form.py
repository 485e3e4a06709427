"""The fields of every form, and the redirect that responds to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from duly.web.api.paging import Text
from duly.web.context import RequestContext
from duly.web.paths import segment


class ActionForm(BaseModel):
    """The fields that every form of the dashboard may have.

    Attributes:
        reason: why the user does this.
        back: the path of the page to return to, which must be under this mount.
        csrf_token: what `PageRoute` has checked.
    """

    model_config = ConfigDict(extra="forbid")

    reason: Text | None = None
    back: Annotated[str, Field(max_length=2000)] | None = None
    csrf_token: str | None = None


Action = Annotated[ActionForm, Form()]


def redirect(context: RequestContext, form: ActionForm | None, *parts: str, done: str) -> Response:
    """Redirect to the page that the form names if it is under this mount, or else to ``parts``."""
    target = form.back if form else None
    if target is None or not target.startswith(f"{context.base}/") or not _is_local(target):
        target = f"{context.base}/{'/'.join(map(segment, parts))}"
    return RedirectResponse(f"{target}{'&' if '?' in target else '?'}done={done}", 303)


def _is_local(target: str) -> bool:
    """Return whether a path stays on this host: two leading slashes of any kind start a host."""
    return target.isprintable() and target[1:2] not in ("/", "\\") and "#" not in target
