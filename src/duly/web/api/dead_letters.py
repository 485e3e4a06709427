"""The REST API of dead letters."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from duly.operations.dead_letters import DeadLetters
from duly.web.api.paging import Limit, QueryModel
from duly.web.api.runs import RunFields
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="dead letters")


class DeadLettersQuery(RunFields, QueryModel):
    """Filters for failed runs, and the number of groups to return."""

    limit: Limit = 100


class Groups(BaseModel):
    """Groups of dead letters, the largest first.

    Attributes:
        items: the groups.
        more: whether there are smaller ones.
    """

    items: list[DeadLetters]
    more: bool


@routes.get("/dead-letters", scope="own")
async def list_dead_letters(
    context: Context, query: Annotated[DeadLettersQuery, Query()]
) -> Groups:
    """Group the failed runs that match by task and type of error.

    Change a group by ``POST /runs/retry`` or ``POST /runs/discard`` with its ``task`` and
    ``error_type``.
    """
    groups = await context.scheduler.aio.dead_letters(
        limit=query.limit, **context.own(query.filters())
    )
    return Groups(items=list(groups), more=groups.more)
