"""Changes of many jobs or runs: a page asks first, and large changes are made in parts.

The form of a list posts here what it selected, either ids or the filter of the list. The response
is a page that says how many rows will change. Its form posts the same again, as confirmed. Without
JavaScript, that request makes the whole change. The script ``bulk.js`` sends one request for each
part instead, and shows the progress: no request is long, wherever the server is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from duly.web.api.paging import Text
from duly.web.context import RequestContext
from duly.web.dashboard.actions.form import ActionForm, redirect
from duly.web.dashboard.filters import ListFilters
from duly.web.dashboard.rendering import render

PART = 1000
"""The greatest number of jobs or runs that one request of the script changes."""

LEAST_PART = 100
"""The least number: a request for a few rows would cost more than their change."""

STEPS = 10
"""The number of parts of a change, where these two limits leave a choice."""

MAX_SHOWN = 8
"""The number of jobs or runs that the question lists."""

Number = Annotated[int, Field(ge=0, lt=2**53)]


class BulkForm(ActionForm):
    """What the form of a list and the form of the question have in common.

    Attributes:
        every: whether to change all that match the filter; otherwise only what was selected.
        owner: a part of the filter: the owner.
        confirmed: whether the user has seen how many will change.
        stop: whether to stop before the next part.
        after: the last id of the part before.
        changed: the number of changes in the parts before.
        left: the number of rows in them that were left as they were.
        part: the number of rows to change by one request of the script; ``None``: `PART`.
    """

    every: bool = False
    owner: Text | None = None
    confirmed: bool = False
    stop: bool = False
    after: Text | None = None
    changed: Number = 0
    left: Number = 0
    part: Annotated[int, Field(ge=1, le=PART)] | None = None


class Part(NamedTuple):
    """What became of one part.

    Attributes:
        after: the last id of it; ``None``: it was the last part.
        changed: the number of rows that were changed.
        left: the number of rows that were left as they were.
    """

    after: str | None
    changed: int
    left: int = 0


@dataclass(frozen=True, slots=True)
class Wording:
    """How a change is called.

    Attributes:
        noun: what it changes: ``job`` or ``run``.
        verb: what it does with them, as on its button.
        icon: the icon of the button.
        text: what follows from it.
        done: the code of the confirmation.
        reason: whether a reason can be given, or must be.
        danger: whether it cannot be undone.
    """

    noun: Literal["job", "run"]
    verb: str
    icon: str
    text: str
    done: str
    reason: Literal["no", "optional", "required"] = "no"
    danger: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A change of many jobs or runs.

    Attributes:
        wording: how it is called.
        filters: which ones.
        count: counts those that would change.
        examples: returns some of them.
        take: changes the next part: the rows after an id, up to a limit.
    """

    wording: Wording
    filters: ListFilters
    count: Callable[[], Awaitable[int]]
    examples: Callable[[], Awaitable[Sequence[Any]]]
    take: Callable[[str | None, int], Awaitable[Part]]

    async def respond(self, context: RequestContext, form: BulkForm) -> Response:
        """Ask; or, confirmed, change the next part for the script, or all of them without one."""
        if not form.confirmed:
            return await self._ask(context, form)
        if self.wording.reason == "required" and not form.reason:
            raise HTTPException(422, "Give a reason.")
        scripted = "application/json" in context.request.headers.get("accept", "")
        after, changed, left = form.after, form.changed, form.left
        while not form.stop:
            part = await self.take(after, form.part or PART)
            after, changed, left = part.after, changed + part.changed, left + part.left
            if scripted or after is None:
                break
        ended = redirect(
            context, form, f"{self.wording.noun}s", done=f"{self.wording.done}:{changed}:{left}"
        )
        if not scripted:
            return ended
        is_last = after is None or form.stop
        return JSONResponse(
            {
                "to": ended.headers["location"] if is_last else None,
                "done": changed + left,
                "fields": {"after": after or "", "changed": changed, "left": left},
            }
        )

    async def _ask(self, context: RequestContext, form: BulkForm) -> Response:
        selected = form.every or bool(self.filters.given.get("ids"))
        count = await self.count() if selected else 0
        return await render(
            context,
            "bulk.html",
            refresh=None,
            wording=self.wording,
            form=form,
            selected=selected,
            fields=list(self.filters.fields()) if selected else [],
            count=count,
            part=part_of(count),
            examples=[each.redacted() for each in await self.examples()] if selected else [],
        )


def part_of(count: int) -> int:
    """Return the number of rows of one part, so that the progress of a change is seen to move."""
    return min(PART, max(LEAST_PART, ceil(count / STEPS)))


def chosen(form: BulkForm, filters: Mapping[str, Any]) -> ListFilters:
    """Return the filters of a form: the selected ids alone, or all but those."""
    given = {**filters, "owner": form.owner}
    ids = given.pop("ids", [])
    if not form.every:
        return ListFilters({"ids": ids})
    return ListFilters(
        {name: value for name, value in given.items() if value not in (None, "", [], False)}
    )
