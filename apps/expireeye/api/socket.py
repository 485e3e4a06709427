"""The WebSocket on which notifications are pushed, and read ones are acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket
from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocketDisconnect

from apps.expireeye import notices, sign_ins
from apps.expireeye.api.access import address_of, services_of, sign_in_of
from apps.expireeye.api.notifications import MAX_ID
from apps.expireeye.models import SignIn
from apps.expireeye.problems import Problem
from apps.expireeye.push import SOCKET_ERRORS, Frame, Socket
from apps.expireeye.services import Services
from apps.rate_limits import Limit, RateLimited, address_key

log = logging.getLogger(__name__)
router = APIRouter()

CONNECTS = Limit("socket connects", 120, timedelta(minutes=1))
MAX_FRAME = 4096
AUTH_SECONDS = 5.0
CLOSE_SECONDS = 1.0
POLICY_VIOLATION = 1008
TOO_BIG = 1009


class Refused(Exception):
    """The connection is refused and closed with a code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@router.websocket("/ws/notifications", name="socket")
async def notifications(websocket: WebSocket) -> None:
    """Authenticate the socket, send its user's notifications, and take acknowledgements.

    It authenticates with ``?ticket=…``, or with the first frame, ``{"type": "auth", "token": …}``,
    whose token is a bearer token or a ticket.
    """
    services = services_of(websocket)
    await websocket.accept()
    try:
        sign_in = await _authenticated(websocket, services)
        socket = services.hub.attach(websocket, sign_in.user_id, sign_in.id)
        try:
            first = await services.follower.join(socket.user_id)
            await _serve(services, websocket, socket, first)
        finally:
            services.hub.detach(socket)
            services.follower.leave(socket.user_id)
    except Refused as refusal:
        await _close(websocket, refusal.code, str(refusal))
    except (*SOCKET_ERRORS, SQLAlchemyError) as error:
        log.debug("Socket closed: %r", error)
        await _close(websocket, 1011, "connection failed")


async def _authenticated(websocket: WebSocket, services: Services) -> SignIn:
    address = address_of(websocket)
    if not _origin_allowed(websocket, services.settings.allowed_origins):
        raise Refused(POLICY_VIOLATION, "foreign origin")
    try:
        await services.limiter.take(CONNECTS, address_key(address))
    except RateLimited:
        raise Refused(POLICY_VIOLATION, "too many connections") from None
    ticket = websocket.query_params.get("ticket")
    sign_in = await _by_ticket(services, ticket) if ticket else await _by_frame(websocket, services)
    if sign_in is None:
        raise Refused(POLICY_VIOLATION, "not signed in")
    return sign_in


async def _by_frame(websocket: WebSocket, services: Services) -> SignIn | None:
    try:
        async with asyncio.timeout(AUTH_SECONDS):
            message = _parsed(await _receive(websocket))
    except TimeoutError:
        raise Refused(POLICY_VIOLATION, "not signed in in time") from None
    token = message.get("token") if message.get("type") == "auth" else None
    if not isinstance(token, str):
        return None
    return await sign_in_of(services, "access", token) or await _by_ticket(services, token)


async def _by_ticket(services: Services, ticket: str) -> SignIn | None:
    now = services.clock.now()
    async with services.database.begin() as session:
        return await sign_ins.find(session, await sign_ins.use_ticket(session, ticket, now), now)


async def _serve(
    services: Services, websocket: WebSocket, socket: Socket, first: list[Frame]
) -> None:
    """Send and receive until either fails or the socket is dropped, and raise the error."""
    tasks = {
        asyncio.create_task(socket.pump(first)),
        asyncio.create_task(_listen(services, websocket, socket)),
        asyncio.create_task(socket.dropped.wait()),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if socket.drop_reason:
        raise Refused(POLICY_VIOLATION, socket.drop_reason)
    for task in done:
        task.result()


async def _listen(services: Services, websocket: WebSocket, socket: Socket) -> None:
    """Mark acknowledged notifications as read, and answer all other frames with an error."""
    while True:
        match _parsed(await _receive(websocket)):
            case {"type": "auth"}:
                continue  # it has authenticated already
            case {"type": "ack", "id": int(number)} if 0 < number <= MAX_ID:
                problem = await _acknowledge(services, socket.user_id, number)
            case _:
                problem = 'The only frame accepted here is {"type": "ack", "id": …}.'
        if problem:
            socket.offer(Frame.of({"type": "error", "message": problem}))


async def _acknowledge(services: Services, user_id: int, notice_id: int) -> str | None:
    """Mark a notification as read; return the error for the client, if any."""
    try:
        async with services.database.begin() as session:
            await notices.mark_read(session, user_id, notice_id)
    except Problem as problem:
        return problem.message
    return None


async def _receive(websocket: WebSocket) -> str:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    data: str | bytes = message.get("text") or message.get("bytes") or ""
    raw = data.encode() if isinstance(data, str) else data
    if len(raw) > MAX_FRAME:
        raise Refused(TOO_BIG, "frame too big")
    return raw.decode(errors="replace")


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _origin_allowed(websocket: WebSocket, allowed: tuple[str, ...]) -> bool:
    """Return whether the origin is allowed: no origin (a program), this site, or a listed one."""
    origin = websocket.headers.get("origin")
    if origin is None or origin in allowed:
        return True
    return urlsplit(origin).netloc == websocket.headers.get("host")


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(*SOCKET_ERRORS):
        async with asyncio.timeout(CLOSE_SECONDS):
            await websocket.close(code, reason)
