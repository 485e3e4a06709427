"""The shared catalogue, and the items of each user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, case, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from apps.expireeye.dates import Expiry
from apps.expireeye.models import ItemStatus, Product, User, UserProduct
from apps.expireeye.problems import Problem, not_found

MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Owned:
    """An item and the name of its product, or the fallback name if the catalogue lacks it."""

    item: UserProduct
    name: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; ``number`` counts from 1."""

    number: int = 1
    size: int = 50

    @property
    def offset(self) -> int:
        """The number of rows before this page."""
        return (self.number - 1) * self.size


def fallback_name(product_id: str) -> str:
    """Return the name to show for a product that is missing from the catalogue."""
    return f"Unknown product ({product_id})"


async def add_product(
    session: AsyncSession, name: str, *, category: str | None = None, barcode: str | None = None
) -> Product:
    """Add a catalogue entry; a blank category or barcode counts as none.

    Raises:
        Problem: 422, the name is blank or too long, or a text cannot be stored; 409, another
            product has this barcode.
    """
    product = Product(
        name=checked_name(name),
        category=_optional(category, "category"),
        barcode=_optional(barcode, "barcode"),
    )
    session.add(product)
    try:
        await session.flush()
    except IntegrityError:
        message = "Another product has this barcode."
        raise Problem(409, "barcode_taken", message, "barcode") from None
    return product


async def product_named(session: AsyncSession, name: str) -> Product:
    """Return the product with this name, ignoring case; add it if there is none."""
    wanted = checked_name(name)
    product = await session.scalar(
        select(Product).where(func.lower(Product.name) == wanted.lower()).order_by(Product.id)
    )
    return product or await add_product(session, wanted)


async def search_products(
    session: AsyncSession, text: str, page: Page
) -> tuple[Sequence[Product], int]:
    """Return a page of the products whose names contain ``text``, and their total number."""
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
    """Return a page of a user's items and their total number.

    Expired items are first, the newest before older ones; then active ones, the next to expire
    before later ones.

    Args:
        status: return only items with this status.
        expiring_before: return only active items that expire at this instant or earlier.
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
    """Return one of a user's items.

    Args:
        to_edit: lock the item against the check until the transaction ends.

    Raises:
        Problem: 404, it does not exist or belongs to another user.
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
    """Add an active item for a user; if its date has passed, the next tick expires it.

    Raises:
        Problem: 404, the product does not exist.
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
    """Change the expiry date of an item; a future date reactivates an expired item.

    A parked item is processed again. Nothing else changes ``expired`` to ``active``, and only the
    check changes ``active`` to ``expired``.
    """
    item.expiry_date = expiry.instant
    item.expiry_is_date_only = expiry.date_only
    item.failures, item.parked_until = 0, None
    if item.status == "expired" and expiry.instant >= now:
        item.status, item.expired_at = "active", None
    item.updated_at = now


async def remove_item(session: AsyncSession, user: User, item_id: str) -> None:
    """Delete one of a user's items; its notifications are kept.

    Raises:
        Problem: 404, it does not exist or belongs to another user.
    """
    owned = await get_item(session, user, item_id)
    await session.execute(delete(UserProduct).where(UserProduct.id == owned.item.id))


async def counts(session: AsyncSession, user: User, now: datetime) -> dict[str, int]:
    """Return the numbers of a user's items: active, expiring within a week, and expired."""
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
    """Return a name with its white space normalized.

    Raises:
        Problem: 422, it is blank or too long.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME or "\0" in name:
        raise Problem(422, "bad_name", f"A name must have 1 to {MAX_NAME} characters.", "name")
    return name


def _optional(text: str | None, field: str) -> str | None:
    """Return a text with its white space normalized, or ``None`` if it is blank."""
    if text is not None and "\0" in text:
        raise Problem(422, "bad_text", "A text must not contain NUL characters.", field)
    return " ".join(text.split()) or None if text else None


async def _owned(session: AsyncSession, items: Select[UserProduct]) -> list[Owned]:
    joined = items.add_columns(Product.name).outerjoin(
        Product, Product.id == UserProduct.product_id
    )
    rows = await session.execute(joined)
    return [Owned(item, name or fallback_name(item.product_id)) for item, name in rows]


async def _count(session: AsyncSession, wanted: Select[Product] | Select[UserProduct]) -> int:
    return await session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
