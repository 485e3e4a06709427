"""The REST API of its own keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from duly.model.job import MAX_ID
from duly.model.key import KeyRecord, Role
from duly.web.api.paging import BodyModel, PageQuery, page_of_all
from duly.web.api.schemas import Page
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="keys")
MAX_VALIDITY_S = 100 * 366 * 86400


class NewKey(BodyModel):
    """A key to create.

    Attributes:
        name: what it is for.
        role: what it may do.
        owners: the owners whose jobs and runs it may reach; default: all.
        expires_in: seconds for which it is valid; default: until it is revoked.
        rate: the requests per minute that each web process admits; default: no limit.
    """

    name: Annotated[str, Field(min_length=1, max_length=180)]
    role: Role
    owners: list[Annotated[str, Field(min_length=1, max_length=MAX_ID)]] | None = None
    expires_in: Annotated[float, Field(gt=0, le=MAX_VALIDITY_S, allow_inf_nan=False)] | None = None
    rate: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class KeyShownOnce(BaseModel):
    """A key that was just created; it cannot be read again."""

    key: str
    record: KeyRecord


@routes.get("/keys", role="admin")
async def list_keys(context: Context, query: Annotated[PageQuery, Query()]) -> Page[KeyRecord]:
    """List the keys, newest first, also those that are revoked or have expired."""
    return page_of_all(await context.scheduler.aio.keys(), query, lambda key: key.id)


@routes.post("/keys", role="admin", status=201)
async def create_key(context: Context, body: NewKey) -> KeyShownOnce:
    """Create a key; the response is the only place that shows it."""
    created = await context.scheduler.aio.create_key(
        body.name,
        role=body.role,
        owners=body.owners,
        expires_in=body.expires_in,
        rate=body.rate,
        actor=context.actor,
    )
    return KeyShownOnce(key=created.key, record=created.record)


@routes.delete("/keys/{key_id}")
async def revoke_key(context: Context, key_id: Name) -> None:
    """Revoke a key: every later request with it is refused."""
    await context.scheduler.aio.revoke_key(key_id, actor=context.actor)
