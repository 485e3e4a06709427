"""One reader of the audit trail for all streams of a process."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from typing import Any

from duly.errors import DulyError
from duly.model.event_position import EventPosition
from duly.operations.events import Activity, OwnedEvent
from duly.scheduler import Scheduler

log = logging.getLogger("duly.web")
POLL_S = 1.0
"""Seconds between two reads of the audit trail, while there are streams."""

CHECK_S = 0.2
"""Seconds between two checks whether the server is stopping."""

MAX_STREAMS = 100
MAX_WAITING = 2_000
"""The maximum number of messages that wait for a slow client, which is then disconnected."""

Message = OwnedEvent | Activity


class Subscription:
    """The messages for one stream.

    Attributes:
        ended: whether no more messages follow: the server is stopping, or the client is too slow.
    """

    def __init__(self) -> None:
        self.ended = False
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()

    def put(self, message: Message) -> None:
        """Add a message; end instead if too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            self.end()
        self._waiting.append(message)
        self._arrived.set()

    def end(self) -> None:
        """Let the stream end."""
        self.ended = True
        self._arrived.set()

    async def take(self, seconds: float) -> list[Message]:
        """Return the messages that wait, or those that arrive within this time."""
        if not self._waiting and not self.ended:
            try:
                async with asyncio.timeout(seconds):
                    await self._arrived.wait()
            except TimeoutError:
                pass
        self._arrived.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


class EventHub:
    """Reads new events once and gives them to every subscription, on one event loop.

    Args:
        scheduler: the scheduler whose events it reads.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._subscriptions: set[Subscription] = set()
        self._position: EventPosition | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether there are as many streams as are allowed."""
        return len(self._subscriptions) >= MAX_STREAMS

    async def subscribe(self, start: EventPosition | None) -> tuple[Subscription, EventPosition]:
        """Return a subscription, and the position from which its stream continues.

        Args:
            start: the position of the stream; ``None``: the present.
        """
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            if self._position is None:
                self._position = await self._scheduler.aio.event_position()
            if start is None:
                start = self._position.copy()
            else:
                self._position.look_for(start.missing, self._scheduler.clock.now())
            if self._reader is None or self._reader.done():
                self._reader = asyncio.create_task(self._read(), name="duly-events")
        except BaseException:
            self.leave(subscription)
            raise
        return subscription, start

    def leave(self, subscription: Subscription) -> None:
        """End a subscription; the reader ends with the last one."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions and self._reader is not None:
            self._reader.cancel()
            self._reader = self._position = None

    async def _read(self) -> None:
        activity: Activity | None = None
        while not await self._server_stops(POLL_S):
            position = self._position
            if position is None:
                return
            try:
                found: list[Message] = [*await self._scheduler.aio.events_beyond(position)]
                latest = await self._scheduler.aio.activity()
            except DulyError as error:  # the database is away: the next read finds everything
                log.warning("The stream of events could not be read: %s", error)
                continue
            if latest != activity:
                found.append(latest)
            activity = latest
            for message in found:
                for subscription in self._subscriptions:
                    subscription.put(message)
        for subscription in self._subscriptions:
            subscription.end()

    async def _server_stops(self, seconds: float) -> bool:
        """Wait; return early, and whether the server of this process is stopping, if it is."""
        for _ in range(round(seconds / CHECK_S)):
            if server_is_stopping() or self._scheduler.state == "stopping":
                return True
            await asyncio.sleep(CHECK_S)
        return False


def server_is_stopping() -> bool:
    """Return whether uvicorn has been asked to stop.

    It waits for open responses before it tells applications, so that a stream must notice that by
    itself. The handler of SIGTERM is a method of the server.
    """
    server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True
