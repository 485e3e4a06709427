"""The REST API of the catalogue and of the items that a user owns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from apps.expireeye import inventory
from apps.expireeye.api.access import Member, ServicesDep
from apps.expireeye.api.schemas import ItemChange, NewItem, NewProduct, show_item, show_product
from apps.expireeye.dates import BadDate, Expiry, parse_expiry
from apps.expireeye.inventory import Page
from apps.expireeye.models import User
from apps.expireeye.problems import Problem

router = APIRouter(tags=["products"])

Number = Annotated[int, Query(ge=1, le=100_000)]
Size = Annotated[int, Query(ge=1, le=200)]


@router.get("/products")
async def list_products(
    _: Member, services: ServicesDep, q: str = "", page: Number = 1, size: Size = 50
) -> dict[str, Any]:
    """Search the catalogue."""
    async with services.database.session() as session:
        found, total = await inventory.search_products(session, q.strip(), Page(page, size))
    return {"items": [show_product(product) for product in found], "total": total}


@router.post("/products", status_code=201)
async def create_product(_: Member, body: NewProduct, services: ServicesDep) -> dict[str, Any]:
    """Add a catalogue entry."""
    async with services.database.begin() as session:
        product = await inventory.add_product(
            session, body.name, category=body.category, barcode=body.barcode
        )
        return show_product(product)


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """The query of a list of items."""

    status: Literal["active", "expired"] | None = None
    days: Annotated[int | None, Query(alias="expiringWithinDays", ge=0, le=3650)] = None
    page: Number = 1
    size: Size = 50


@router.get("/user-products")
async def list_items(
    user: Member, services: ServicesDep, wanted: Annotated[ItemFilter, Depends(ItemFilter)]
) -> dict[str, Any]:
    """List the user's items."""
    limit = None if wanted.days is None else services.clock.now() + timedelta(days=wanted.days)
    page = Page(wanted.page, wanted.size)
    async with services.database.session() as session:
        found, total = await inventory.list_items(
            session, user, page, status=wanted.status, expiring_before=limit
        )
    return {"items": [show_item(owned) for owned in found], "total": total}


@router.post("/user-products", status_code=201)
async def create_item(user: Member, body: NewItem, services: ServicesDep) -> dict[str, Any]:
    """Add an item of a catalogue product to the user's items."""
    expiry = read_expiry(body.expiry_date, user)
    async with services.database.begin() as session:
        owned = await inventory.add_item(
            session,
            user,
            services.clock.now(),
            product_id=body.product_id,
            expiry=expiry,
            quantity=body.quantity,
            note=body.note,
        )
        return show_item(owned)


@router.get("/user-products/{item_id}")
async def show_one(user: Member, item_id: str, services: ServicesDep) -> dict[str, Any]:
    """Return one of the user's items."""
    async with services.database.session() as session:
        return show_item(await inventory.get_item(session, user, item_id))


@router.patch("/user-products/{item_id}")
async def change_item(
    user: Member, item_id: str, body: ItemChange, services: ServicesDep
) -> dict[str, Any]:
    """Change an item's date, quantity or note; a future date reactivates an expired item."""
    now = services.clock.now()
    async with services.database.begin() as session:
        owned = await inventory.get_item(session, user, item_id, to_edit=True)
        if body.expiry_date is not None:
            inventory.move_expiry(owned.item, read_expiry(body.expiry_date, user), now)
        if body.quantity is not None:
            owned.item.quantity = body.quantity
        if body.note is not None:
            owned.item.note = body.note
        owned.item.updated_at = now
        return show_item(owned)


@router.delete("/user-products/{item_id}", status_code=204)
async def delete_item(user: Member, item_id: str, services: ServicesDep) -> None:
    """Delete one of the user's items."""
    async with services.database.begin() as session:
        await inventory.remove_item(session, user, item_id)


def read_expiry(text: str, user: User) -> Expiry:
    """Return the expiry date that a text means in the user's time zone.

    Raises:
        Problem: 422, the text is not a valid date.
    """
    try:
        return parse_expiry(text, user.time_zone)
    except BadDate as error:
        raise Problem(422, "bad_date", str(error), "expiryDate") from None
