"""The open sockets of this process, and the queues that deliver messages to them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from apps.expireeye.metrics import Metrics

log = logging.getLogger(__name__)

QUEUE_LIMIT = 100
SEND_TIMEOUT = 5.0
REPLACED = "replaced by a newer connection"
SIGNED_OUT = "signed out"


@dataclass(frozen=True, slots=True)
class Frame:
    """A message for a socket; ``notice_id`` is set if it is a notification."""

    text: str
    notice_id: int | None = None

    @classmethod
    def of(cls, message: dict[str, Any], notice_id: int | None = None) -> Frame:
        """Return a frame with ``message`` as JSON."""
        return cls(json.dumps(message, ensure_ascii=False), notice_id)


class Socket:
    """A connected browser or phone, with a bounded queue that `pump` sends.

    Args:
        websocket: the accepted connection.
        user_id: the id of its user.
        sign_in_id: the id of the sign-in that it belongs to, and ends with.
        sent: called with the id of a notification once its frame was sent.
    """

    def __init__(
        self, websocket: WebSocket, user_id: int, sign_in_id: str, sent: Callable[[int], None]
    ) -> None:
        self.user_id = user_id
        self.sign_in_id = sign_in_id
        self.dropped = asyncio.Event()
        self.drop_reason = ""
        self._websocket = websocket
        self._sent = sent
        self._queue: asyncio.Queue[Frame] = asyncio.Queue(QUEUE_LIMIT)
        self._replayed: set[int] = set()

    def offer(self, frame: Frame) -> bool:
        """Queue a frame without waiting; drop the socket if its queue is full."""
        try:
            self._queue.put_nowait(frame)
        except asyncio.QueueFull:
            if not self.dropped.is_set():
                log.warning(
                    "The queue of a socket of user %s is full; dropping the socket.", self.user_id
                )
            self.dropped.set()
            return False
        return True

    def drop(self, reason: str) -> None:
        """Close the socket as soon as possible, with a reason for its client."""
        self.drop_reason = reason
        self.dropped.set()

    async def pump(self, first: Iterable[Frame]) -> None:
        """Send the ``first`` frames, then the queued ones, until the socket fails."""
        for frame in first:
            await self._send(frame)
            if frame.notice_id is not None:
                self._replayed.add(frame.notice_id)
        while True:
            frame = await self._queue.get()
            if frame.notice_id not in self._replayed:
                await self._send(frame)

    async def _send(self, frame: Frame) -> None:
        async with asyncio.timeout(SEND_TIMEOUT):
            await self._websocket.send_text(frame.text)
        if frame.notice_id is not None:
            self._sent(frame.notice_id)


class Hub:
    """The sockets that are connected to this process.

    Args:
        max_per_user: the number of sockets that a user may have in this process.
        metrics: counts deliveries and open sockets.
    """

    def __init__(self, max_per_user: int, metrics: Metrics) -> None:
        self._max_per_user = max_per_user
        self._metrics = metrics
        self._sockets: defaultdict[int, list[Socket]] = defaultdict(list)
        self._delivered: set[int] = set()

    def attach(self, websocket: WebSocket, user_id: int, sign_in_id: str) -> Socket:
        """Register a socket; the oldest of a user who has reached the limit is dropped."""
        socket = Socket(websocket, user_id, sign_in_id, self._note_delivery)
        sockets = self._sockets[user_id]
        sockets.append(socket)
        self._metrics.open_sockets.inc()
        while len(sockets) > self._max_per_user:
            sockets[0].drop(REPLACED)
            self.detach(sockets[0])
        return socket

    def sign_ins(self) -> set[str]:
        """Return the ids of the sign-ins that have sockets in this process."""
        return {socket.sign_in_id for socket in self._all()}

    def drop_except(self, sign_in_ids: Collection[str]) -> None:
        """Drop the sockets of all sign-ins but these."""
        for socket in self._all():
            if socket.sign_in_id not in sign_in_ids:
                socket.drop(SIGNED_OUT)
                self.detach(socket)

    def detach(self, socket: Socket) -> None:
        """Remove a socket, unless it was removed when it was dropped."""
        sockets = self._sockets.get(socket.user_id, [])
        if socket not in sockets:
            return
        sockets.remove(socket)
        if not sockets:
            del self._sockets[socket.user_id]
        self._metrics.open_sockets.dec()

    def count(self, user_id: int) -> int:
        """Return the number of sockets of a user in this process."""
        return len(self._sockets.get(user_id, ()))

    def send(self, user_id: int, frame: Frame) -> bool:
        """Queue a frame for all sockets of a user; return whether at least one accepted it."""
        taken = [socket.offer(frame) for socket in self._sockets.get(user_id, ())]
        if taken and not all(taken):
            self._metrics.pushes.labels("failed").inc()
        return any(taken)

    def take_delivered(self) -> list[int]:
        """Return the ids of the notifications sent since the last call."""
        delivered, self._delivered = self._delivered, set()
        return sorted(delivered)

    def _all(self) -> list[Socket]:
        return [socket for sockets in self._sockets.values() for socket in sockets]

    def _note_delivery(self, notice_id: int) -> None:
        self._metrics.pushes.labels("ok").inc()
        self._delivered.add(notice_id)


SOCKET_ERRORS = (WebSocketDisconnect, TimeoutError, OSError, RuntimeError)
"""The errors that a broken or stalled connection raises."""
