"""Updates of open pages, shared by all users who may see the same.

A page that is open in fifty browsers is rendered once a second, not fifty times: the first request
for an update renders it, and those that follow within the second receive the same text. Each is
authorized by itself. The text depends on the address, and on the role and the owners of the user,
and on nothing else of the user or the browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from duly.clock import Clock

HEADER = "x-duly-update"
"""The header of a request for an update; its value does not matter."""

AGE_HEADER = "x-duly-age"
"""The header of an update that others had asked for: the milliseconds since it began to be made.

What has happened since then may be missing in it, so the page knows whether to ask again.
"""

FRESH_S = 1.0
"""How long an update is shared."""

MAX_KEPT = 256

Respond = Callable[[Request], Awaitable[Response]]


def is_update(request: Request) -> bool:
    """Return whether an open page asks for what has changed."""
    return HEADER in request.headers


@dataclass(frozen=True, slots=True)
class _Update:
    response: asyncio.Future[Response]
    loop: asyncio.AbstractEventLoop
    since: float

    def fits(self, now: float, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether it is fresh; under WSGI, each thread may have an event loop of its own."""
        return now - self.since < FRESH_S and self.loop is loop


class PageUpdates:
    """The updates that were rendered within the last second.

    Args:
        clock: the clock that tells how old they are.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._updates: dict[tuple[Any, ...], _Update] = {}

    async def respond(self, request: Request, key: tuple[Any, ...], respond: Respond) -> Response:
        """Return the response to a request for an update.

        Args:
            request: the request, which has been authorized.
            key: what the response depends on.
            respond: renders the response.
        """
        now, loop = self._clock.monotonic(), asyncio.get_running_loop()
        update = self._updates.get(key)
        if update is None or not update.fits(now, loop):
            update = _Update(asyncio.ensure_future(respond(request)), loop, now)
            self._remember(key, update)
        # The first request may be cancelled, for instance because its page was closed.
        response = await asyncio.shield(update.response)
        # A copy, because each request adds headers of its own to it.
        copy = Response(response.body, response.status_code, dict(response.headers))
        copy.headers[AGE_HEADER] = str(ceil((now - update.since) * 1000))
        return copy

    def _remember(self, key: tuple[Any, ...], update: _Update) -> None:
        self._updates.pop(key, None)
        while len(self._updates) >= MAX_KEPT:
            del self._updates[next(iter(self._updates))]
        self._updates[key] = update
