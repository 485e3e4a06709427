"""Sample data: two accounts with products, the first of which expires in half a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.expireeye.accounts import register
from apps.expireeye.dates import Expiry, parse_expiry
from apps.expireeye.inventory import add_item, move_expiry, product_named
from apps.expireeye.models import Role, User, UserProduct
from apps.expireeye.services import Services

MEMBER = ("ana@example.com", "milk-and-honey")
OPERATOR = ("otto@example.com", "keeps-the-clock")

_SOON = (("Milk", 25), ("Fresh pasta", 40))
_SHELF = (
    ("Yoghurt", 2, "hours", "behind the milk"),
    ("Strawberries", 1, "day", ""),
    ("Passport", 9, "days", "renewal takes three weeks"),
    ("Olive oil", 120, "days", ""),
    ("First-aid kit", 400, "days", "in the car"),
)


async def seed(services: Services) -> None:
    """Create the demo accounts once, and let two products expire soon after every start."""
    now, database = services.clock.now(), services.database
    accounts: tuple[tuple[tuple[str, str], Role], ...] = (MEMBER, "member"), (OPERATOR, "operator")
    for (email, password), role in accounts:
        async with database.session() as session:
            user = await session.scalar(select(User).where(User.email == email))
        is_new = user is None
        if user is None:
            user = await register(database, now, email=email, password=password, role=role)
        async with database.begin() as session:
            if is_new:
                await _fill_shelf(session, user, now)
            for name, seconds in _SOON:
                await _put(session, user, now, name, now + timedelta(seconds=seconds))


async def _fill_shelf(session: AsyncSession, user: User, now: datetime) -> None:
    for name, count, unit, note in _SHELF:
        product = await product_named(session, name)
        length = timedelta(**{unit if unit.endswith("s") else f"{unit}s": count})
        text = (now + length).date().isoformat() if unit != "hours" else (now + length).isoformat()
        expiry = parse_expiry(text, user.time_zone)
        await add_item(session, user, now, product_id=product.id, expiry=expiry, note=note)


async def _put(
    session: AsyncSession, user: User, now: datetime, name: str, moment: datetime
) -> None:
    product = await product_named(session, name)
    mine = (UserProduct.user_id == user.id) & (UserProduct.product_id == product.id)
    item = await session.scalar(select(UserProduct).where(mine))
    expiry = Expiry(moment.replace(microsecond=0))
    if item is None:
        await add_item(session, user, now, product_id=product.id, expiry=expiry)
    else:
        move_expiry(item, expiry, now)
