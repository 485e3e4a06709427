"""A network that fails: a TCP proxy with one lane for each worker.

A lane can drop its connections, refuse new ones, swallow everything (a black hole), and cut a
connection after the client has sent COMMIT: the server commits, and the client never hears of it.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from tests.chaos.spells import Spells

T = TypeVar("T")
COMMIT = re.compile(rb"\x00\x00\x00\x0bCOMMIT\x00|\x03COMMIT")
"""As PostgreSQL's and MariaDB's clients send it."""

PATIENCE = 60.0


class Link:
    """One connection through a lane: two streams and a fate."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._ends = (client, server)
        self.doomed = False

    def cut(self) -> None:
        """Break it, with what is on its way."""
        for end in self._ends:
            end.transport.abort()


class Lane:
    """One worker's way to the server.

    Attributes:
        port: where it begins.
        cuts: how many connections were cut at a commit.
        spells: when it could not be relied on.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._links: set[Link] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._armed = ""
        self.port = 0
        self.cuts = 0
        self.spells = Spells()

    async def open(self) -> None:
        """Listen."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and break every connection."""
        self._listener.close()
        await self.drop()

    async def drop(self) -> None:
        """Break every connection."""
        self.spells.flash()
        for link in list(self._links):
            link.cut()

    async def refuse(self, refuses: bool) -> None:
        """Break every connection and take no new one, until it is called with false."""
        self._refuses = refuses
        if refuses:
            self.spells.begin("refused")
            await self.drop()
        else:
            self.spells.end("refused")

    async def swallow(self, swallows: bool) -> None:
        """Pass nothing on, in silence, until it is called with false: then it comes late."""
        if swallows:
            self.spells.begin("swallowed")
            self._flows.clear()
        else:
            self._flows.set()
            self.spells.end("swallowed")

    async def arm(self, how: str) -> None:
        """Cut the next connection that commits: ``answered`` (the server has done it) or ``sent``.

        An empty word takes it back.
        """
        self._armed = how

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._refuses:
                raise OSError("refused")
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, far_writer, up=True),
                self._pump(link, far_reader, writer, up=False),
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            link.cut()
            self._links.discard(link)

    async def _pump(
        self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool
    ) -> None:
        while data := await source.read(65536):
            await self._flows.wait()
            if link.doomed:
                link.cut()
                return
            how = self._armed if up and COMMIT.search(data) else ""
            if how:
                link.doomed, self._armed = True, ""
                self.cuts += 1
                self.spells.flash()
            sink.write(data)
            await sink.drain()
            if how == "sent":
                link.cut()
                return
        with suppress(OSError, RuntimeError):
            sink.close()


class Proxy:
    """Runs lanes on a thread of its own.

    Args:
        target: host and port of the server.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._lanes: list[Lane] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def lane(self) -> Lane:
        """A new lane, open."""
        lane: Lane = self.do(self._make)
        self.do(lane.open)
        self._lanes.append(lane)
        return lane

    async def _make(self) -> Lane:
        return Lane(self._target)

    def do(self, action: Callable[..., Coroutine[Any, Any, T]], *values: object) -> T:
        """Do something in the proxy's loop, and wait until it is done."""
        return asyncio.run_coroutine_threadsafe(action(*values), self._loop).result(PATIENCE)

    def close(self) -> None:
        """End it with every connection."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        for lane in self._lanes:
            await lane.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # their last callbacks
