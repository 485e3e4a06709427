"""The shared catalogue, and the items of each user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, case, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.expireeye.dates import Expiry
from apps.expireeye.models import ItemStatus, Product, User, UserProduct
from apps.expireeye.problems import Problem, not_found

MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Owned:
    """An item and the name of its product (or the fallback, should the catalogue lack it)."""

    item: UserProduct
    name: str


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: ``number`` counts from 1."""

    number: int = 1
    size: int = 50

    @property
    def offset(self) -> int:
        """Rows before this page."""
        return (self.number - 1) * self.size


def fallback_name(product_id: str) -> str:
    """What a product without catalogue row is called."""
    return f"Unknown product ({product_id})"


async def add_product(session: AsyncSession, name: str) -> Product:
    """Add a catalogue entry.

    Raises:
        Problem: 422 for a blank or overlong name.
    """
    product = Product(name=checked_name(name))
    session.add(product)
    await session.flush()
    return product


async def product_named(session: AsyncSession, name: str) -> Product:
    """The catalogue entry of that name, whatever its case; added when there is none."""
    wanted = checked_name(name)
    held = await session.scalar(
        select(Product).where(func.lower(Product.name) == wanted.lower()).order_by(Product.id)
    )
    return held or await add_product(session, wanted)


async def search_products(
    session: AsyncSession, text: str, page: Page
) -> tuple[Sequence[Product], int]:
    """Catalogue entries whose name contains ``text``, and how many there are."""
    wanted = select(Product).where(Product.name.icontains(text, autoescape=True))
    ordered = wanted.order_by(func.lower(Product.name), Product.id)
    rows = await session.scalars(ordered.offset(page.offset).limit(page.size))
    return rows.all(), await _count(session, wanted)


async def list_items(
    session: AsyncSession,
    user: User,
    page: Page,
    *,
    status: ItemStatus | None = None,
    expiring_before: datetime | None = None,
) -> tuple[list[Owned], int]:
    """The user's items, and how many there are: the newest expired first, then the next to expire.

    Args:
        status: only these.
        expiring_before: only active items whose date comes no later.
    """
    wanted = select(UserProduct).where(UserProduct.user_id == user.id)
    if status is not None:
        wanted = wanted.where(UserProduct.status == status)
    if expiring_before is not None:
        wanted = wanted.where(
            UserProduct.status == "active", UserProduct.expiry_date <= expiring_before
        )
    total = await _count(session, wanted)
    ordered = wanted.order_by(
        UserProduct.status.desc(),
        case((UserProduct.status == "expired", UserProduct.expiry_date)).desc(),
        UserProduct.expiry_date,
        UserProduct.id,
    )
    return await _owned(session, ordered.offset(page.offset).limit(page.size)), total


async def get_item(
    session: AsyncSession, user: User, item_id: str, *, to_edit: bool = False
) -> Owned:
    """One of the user's items.

    Args:
        to_edit: keep the check from changing it until the transaction ends.

    Raises:
        Problem: 404 when there is none, or it is another user's.
    """
    wanted = select(UserProduct).where(UserProduct.id == item_id, UserProduct.user_id == user.id)
    if to_edit:
        wanted = wanted.with_for_update(of=UserProduct)
    found = await _owned(session, wanted)
    if not found:
        raise not_found("item")
    return found[0]


async def add_item(
    session: AsyncSession,
    user: User,
    now: datetime,
    *,
    product_id: str,
    expiry: Expiry,
    quantity: int = 1,
    note: str = "",
) -> Owned:
    """Give the user an item; it starts as active, and the next tick sees to a date in the past.

    Raises:
        Problem: 404 for an unknown product.
    """
    product = await session.get(Product, product_id)
    if product is None:
        raise Problem(404, "not_found", "This product does not exist.", "productId")
    item = UserProduct(
        user_id=user.id,
        product_id=product_id,
        expiry_date=expiry.instant,
        expiry_is_date_only=expiry.date_only,
        status="active",
        quantity=quantity,
        note=note,
        created_at=now,
        updated_at=now,
    )
    session.add(item)
    await session.flush()
    return Owned(item, product.name)


def move_expiry(item: UserProduct, expiry: Expiry, now: datetime) -> None:
    """Give an item another date; one in the future makes an expired item active again.

    A parked item gets a fresh start. Nothing else ever turns ``expired`` into ``active``, and only
    the job turns ``active`` into ``expired``.
    """
    item.expiry_date = expiry.instant
    item.expiry_is_date_only = expiry.date_only
    item.failures, item.parked_until = 0, None
    if item.status == "expired" and expiry.instant >= now:
        item.status, item.expired_at = "active", None
    item.updated_at = now


async def remove_item(session: AsyncSession, user: User, item_id: str) -> None:
    """Delete one of the user's items; its notices stay.

    Raises:
        Problem: 404 when there is none, or it is another user's.
    """
    owned = await get_item(session, user, item_id)
    await session.execute(delete(UserProduct).where(UserProduct.id == owned.item.id))


async def counts(session: AsyncSession, user: User, now: datetime) -> dict[str, int]:
    """How many of the user's items are active, expire within a week, and are expired."""
    mine = UserProduct.user_id == user.id
    soon = (UserProduct.status == "active") & (UserProduct.expiry_date <= now + timedelta(days=7))
    row = await session.execute(
        select(
            func.count().filter(UserProduct.status == "active"),
            func.count().filter(soon),
            func.count().filter(UserProduct.status == "expired"),
        ).where(mine)
    )
    active, expiring, expired = row.one()
    return {"active": active, "soon": expiring, "expired": expired}


def checked_name(name: str) -> str:
    """The name without surrounding blanks.

    Raises:
        Problem: 422 when nothing is left, or too much.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME or "\0" in name:
        raise Problem(422, "bad_name", f"A name must have 1 to {MAX_NAME} characters.", "name")
    return name


async def _owned(session: AsyncSession, items: Select[UserProduct]) -> list[Owned]:
    joined = items.add_columns(Product.name).outerjoin(
        Product, Product.id == UserProduct.product_id
    )
    rows = await session.execute(joined)
    return [Owned(item, name or fallback_name(item.product_id)) for item, name in rows]


async def _count(session: AsyncSession, wanted: Select[Product] | Select[UserProduct]) -> int:
    return await session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
