"""Expiring products whose date has passed, in the transaction of the caller."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import case, func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from apps.expireeye.dates import to_wire
from apps.expireeye.inventory import fallback_name
from apps.expireeye.models import Notification, Product, UserProduct
from apps.expireeye.notices import STORED_TYPE

log = logging.getLogger(__name__)

GROUP = 100
"""Items per savepoint: enough to be fast, few enough not to delay requests."""
PARK_AFTER = 5
PARK_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DueItem:
    """An active item whose date has passed, as the check read it."""

    id: str
    user_id: int
    product_id: str
    product_name: str | None
    expiry_date: datetime

    @property
    def name(self) -> str:
        """The product's name, or the fallback for a missing catalogue row."""
        return self.product_name or fallback_name(self.product_id)


@dataclass(slots=True)
class Batch:
    """The result of processing a batch of items."""

    expired: list[DueItem] = field(default_factory=list)
    failed: int = 0
    notices: list[Notification] = field(default_factory=list)

    def __iadd__(self, other: Batch) -> Batch:
        self.expired += other.expired
        self.failed += other.failed
        self.notices += other.notices
        return self


async def due_items(
    session: AsyncSession, now: datetime, *, after: DueItem | None, limit: int
) -> Sequence[DueItem]:
    """Return active items whose date is before ``now``, oldest first, without parked ones.

    The items are locked until the transaction ends. Items that their owner is editing are left to
    the next tick.

    Args:
        after: the last item of the previous batch, so that a run meets a failing item only once.
        limit: the largest number of items.
    """
    wanted = (
        select(
            UserProduct.id,
            UserProduct.user_id,
            UserProduct.product_id,
            Product.name,
            UserProduct.expiry_date,
        )
        .outerjoin(Product, Product.id == UserProduct.product_id)
        .where(
            UserProduct.status == "active",
            UserProduct.expiry_date < now,
            or_(UserProduct.parked_until.is_(None), UserProduct.parked_until <= now),
        )
        .order_by(UserProduct.expiry_date, UserProduct.id)
        .limit(limit)
        .with_for_update(of=UserProduct, skip_locked=True)
    )
    if after is not None:
        position = tuple_(UserProduct.expiry_date, UserProduct.id)
        wanted = wanted.where(position > (after.expiry_date, after.id))
    rows = await session.execute(wanted)
    return [DueItem(*row) for row in rows]


async def expire_batch(session: AsyncSession, items: Sequence[DueItem], now: datetime) -> Batch:
    """Expire items; the failure of one does not affect the others.

    Raises:
        sqlalchemy.exc.OperationalError: the database failed, so no item is at fault.
    """
    batch = Batch()
    for start in range(0, len(items), GROUP):
        batch += await _expire_group(session, items[start : start + GROUP], now)
    return batch


async def oldest_overdue(session: AsyncSession, now: datetime) -> datetime | None:
    """Return the date of the oldest item that is due and not yet expired, if any."""
    wanted = select(func.min(UserProduct.expiry_date)).where(
        UserProduct.status == "active", UserProduct.expiry_date < now
    )
    return await session.scalar(wanted)


async def _expire_group(session: AsyncSession, items: Sequence[DueItem], now: datetime) -> Batch:
    """Expire items in one savepoint; if that fails, bisect to isolate the failing item.

    A hundred items take four statements instead of four hundred, or about fifty if one fails.
    """
    try:
        async with session.begin_nested():
            return await _expire(session, items, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 - one bad item must not stop the others
        if len(items) == 1:
            await _record_failure(session, items[0], now, error)
            return Batch(failed=1)
    middle = len(items) // 2
    batch = await _expire_group(session, items[:middle], now)
    batch += await _expire_group(session, items[middle:], now)
    return batch


async def _expire(session: AsyncSession, items: Sequence[DueItem], now: datetime) -> Batch:
    """Mark items as expired if they are still active, and store their notifications."""
    flipped = await session.scalars(
        update(UserProduct)
        .where(UserProduct.id.in_([item.id for item in items]), UserProduct.status == "active")
        .values(status="expired", updated_at=now, expired_at=now, failures=0, parked_until=None)
        .returning(UserProduct.id)
        .execution_options(synchronize_session=False)
    )
    expired_ids = set(flipped)
    expired = [item for item in items if item.id in expired_ids]
    return Batch(expired, notices=await _store_notices(session, expired, now))


async def _store_notices(
    session: AsyncSession, items: Sequence[DueItem], now: datetime
) -> list[Notification]:
    """Store a notification for each item and date, unless there is one already."""
    if not items:
        return []
    rows = [
        {
            "user_id": item.user_id,
            "product_name": item.name,
            "message": f"Product {item.name} has expired",
            "type": STORED_TYPE,
            "user_product_id": item.id,
            "expiry_date": item.expiry_date,
            "dedupe_key": f"expiry:{item.id}:{to_wire(item.expiry_date)}",
            "read": False,
            "created_at": now,
        }
        for item in items
    ]
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    new = dialect.insert(Notification).on_conflict_do_nothing(index_elements=["dedupe_key"])
    stored = await session.scalars(new.returning(Notification), rows)
    return sorted(stored, key=lambda notice: notice.id)


async def _record_failure(
    session: AsyncSession, item: DueItem, now: datetime, error: Exception
) -> None:
    """Count a failure of an item; after five in a row it is parked for an hour."""
    failures = await session.scalar(
        update(UserProduct)
        .where(UserProduct.id == item.id)
        .values(
            failures=UserProduct.failures + 1,
            parked_until=case((UserProduct.failures + 1 >= PARK_AFTER, now + PARK_FOR)),
        )
        .returning(UserProduct.failures)
        .execution_options(synchronize_session=False)
    )
    if failures == PARK_AFTER:
        log.error(
            "Item %s has failed in %s runs; skipping it for an hour: %s", item.id, failures, error
        )
    else:
        log.warning("Item %s failed (%s in a row): %s", item.id, failures, error)
