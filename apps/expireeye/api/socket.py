"""The WebSocket for pushing notifications."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from apps.expireeye.api.access import address_of, services_of
from apps.expireeye.push import SOCKET_ERRORS, Frame, Socket
from apps.expireeye.services import Services

log = logging.getLogger(__name__)
router = APIRouter()

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
    """Authenticate by the first frame, ``{"type": "auth", "token": …}``, then only send."""
    services = services_of(websocket)
    await websocket.accept()
    try:
        user_id = await _authenticated(websocket, services)
        socket = services.hub.attach(websocket, user_id)
        if socket is None:
            raise Refused(POLICY_VIOLATION, "too many connections")
        try:
            await _serve(websocket, socket, await services.follower.join(user_id))
        finally:
            services.hub.detach(socket)
            services.follower.leave(user_id)
    except Refused as refusal:
        await _close(websocket, refusal.code, str(refusal))
    except SOCKET_ERRORS as error:
        log.debug("Socket closed: %r", error)
        await _close(websocket, 1011, "connection failed")


async def _authenticated(websocket: WebSocket, services: Services) -> int:
    address = address_of(websocket)
    if not _origin_allowed(websocket, services.settings.allowed_origins):
        raise Refused(POLICY_VIOLATION, "foreign origin")
    if services.connects.reached(address):
        raise Refused(POLICY_VIOLATION, "too many connections")
    services.connects.record(address)
    try:
        async with asyncio.timeout(AUTH_SECONDS):
            message = _parsed(await _receive(websocket))
    except TimeoutError:
        raise Refused(POLICY_VIOLATION, "not signed in in time") from None
    token = message.get("token") if message.get("type") == "auth" else None
    tokens = services.tokens
    claims = None
    if isinstance(token, str):
        claims = tokens.read("access", token) or tokens.read("socket", token)
    if not claims or not isinstance(claims.get("user"), int):
        raise Refused(POLICY_VIOLATION, "not signed in")
    return int(claims["user"])


async def _serve(websocket: WebSocket, socket: Socket, first: list[Frame]) -> None:
    """Send and receive until either fails or the socket is dropped, and raise the error."""
    tasks = {
        asyncio.create_task(socket.pump(first)),
        asyncio.create_task(_listen(websocket, socket)),
        asyncio.create_task(socket.dropped.wait()),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _listen(websocket: WebSocket, socket: Socket) -> None:
    while True:
        await _receive(websocket)
        socket.offer(
            Frame.of({"type": "error", "message": "This socket does not accept messages."})
        )


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
