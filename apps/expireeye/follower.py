"""Delivers stored notifications to the users connected to this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from apps.database import Database
from apps.expireeye import sign_ins
from apps.expireeye.models import Notification
from apps.expireeye.notices import count_unread, mark_pushed, pushed_message
from apps.expireeye.push import Frame, Hub
from duly import Clock

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
OUT_OF_ORDER = 2_000
REPLAY_LIMIT = 1_000
_CHUNK = 500
_AT_ONCE = 50


class Follower:
    """Follows the notifications table on behalf of the hub.

    PostgreSQL may commit a smaller id after a larger one. So the follower looks back
    ``OUT_OF_ORDER`` ids behind the newest (four of the job's largest usual batches; one run stores
    at a time) and remembers which of those it has seen.

    Args:
        database: stores the notifications.
        hub: the sockets of this process.
        clock: the source of ``firstPushedAt``.
    """

    def __init__(self, database: Database, hub: Hub, clock: Clock) -> None:
        self._database = database
        self._hub = hub
        self._clock = clock
        self._users: set[int] = set()
        self._seen: set[int] = set()
        self._floor: int | None = None
        self._wanted = asyncio.Event()

    async def join(self, user_id: int) -> list[Frame]:
        """Start following for a user who has just attached a socket.

        Returns:
            The first frames for that socket: ``ready``, then the unread notifications that were
            never pushed.
        """
        async with self._database.session() as session:
            if self._floor is None:
                self._floor = await self._newest(session) - OUT_OF_ORDER
            mine = Notification.user_id == user_id
            never = mine & Notification.read.is_(False) & Notification.first_pushed_at.is_(None)
            waiting = await session.scalars(
                select(Notification).where(never).order_by(Notification.id).limit(REPLAY_LIMIT)
            )
            replay = [Frame.of(pushed_message(notice), notice.id) for notice in waiting]
            if user_id not in self._users:
                existing = select(Notification.id).where(mine, Notification.id > self._floor)
                self._seen.update(await session.scalars(existing))
            unread = await count_unread(session, user_id)
        self._users.add(user_id)
        self._wanted.set()
        return [Frame.of({"type": "ready", "unread": unread}), *replay]

    def leave(self, user_id: int) -> None:
        """Stop following for a user if their last socket has been detached."""
        if not self._hub.count(user_id):
            self._users.discard(user_id)

    async def deliver(self, notices: Iterable[Notification]) -> int:
        """Queue committed notifications for the sockets of this process, once each.

        Returns:
            The number that were queued for at least one socket.
        """
        pushed = 0
        for count, notice in enumerate(notices):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)  # lets sockets empty their queues
            if notice.id in self._seen or not self._hub.count(notice.user_id):
                continue
            taken = self._hub.send(notice.user_id, Frame.of(pushed_message(notice), notice.id))
            log.info(
                "Notification %s for user %s: %s.",
                notice.id, notice.user_id, "queued" if taken else "queue full",
            )  # fmt: skip
            self._seen.add(notice.id)
            pushed += taken
            self._wanted.set()
        return pushed

    async def run(self) -> None:
        """Follow until cancelled; there are no queries while no user is connected."""
        try:
            while True:
                await self._wanted.wait()
                try:
                    await self.poll()
                except (SQLAlchemyError, OSError) as error:
                    task = asyncio.current_task()
                    if task is not None and task.cancelling():
                        # SQLAlchemy may report a cancelled query as an invalid transaction.
                        raise asyncio.CancelledError from error
                    log.warning("Could not read new notifications; retrying: %s", error)
                if not self._users:
                    self._wanted.clear()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await asyncio.shield(self._settle())

    async def poll(self) -> None:
        """Read the table once: push new notifications, and record those that were delivered."""
        await self._record_deliveries()
        if not self._users or self._floor is None:
            return
        await self._drop_signed_out()
        async with self._database.session() as session:
            newest = await self._newest(session)
            visible = await session.scalars(
                select(Notification.id).where(
                    Notification.user_id.in_(self._users), Notification.id > self._floor
                )
            )
            new = sorted(set(visible) - self._seen)
            for start in range(0, len(new), _CHUNK):
                chunk = new[start : start + _CHUNK]
                rows = await session.scalars(
                    select(Notification).where(Notification.id.in_(chunk)).order_by(Notification.id)
                )
                await self.deliver(rows)
        self._floor = max(self._floor, newest - OUT_OF_ORDER)
        self._seen = {notice_id for notice_id in self._seen if notice_id > self._floor}

    async def _drop_signed_out(self) -> None:
        """Drop the sockets whose sign-in has ended or expired, in whichever process that was."""
        connected = self._hub.sign_ins()
        async with self._database.session() as session:
            live = await sign_ins.live(session, connected, self._clock.now())
        self._hub.drop_except(live | (self._hub.sign_ins() - connected))

    async def _settle(self) -> None:
        try:
            await self._record_deliveries()
        except (SQLAlchemyError, OSError) as error:
            log.warning("Could not record the last deliveries; they will be repeated: %s", error)

    async def _record_deliveries(self) -> None:
        delivered: Sequence[int] = self._hub.take_delivered()
        for start in range(0, len(delivered), _CHUNK):
            async with self._database.begin() as session:
                chunk = delivered[start : start + _CHUNK]
                await mark_pushed(session, chunk, self._clock.now())

    async def _newest(self, session: AsyncSession) -> int:
        return await session.scalar(select(func.max(Notification.id))) or 0
