"""A network that can fail: a TCP proxy with one route for each worker.

A route can drop its connections, refuse new ones, delay all data, swallow all data (a black hole),
and cut a connection after the client has sent COMMIT: the server commits, and the client gets no
answer.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from tests.chaos.disturbances import Disturbances

T = TypeVar("T")
COMMIT = re.compile(rb"\x00\x00\x00\x0bCOMMIT\x00|\x03COMMIT")
"""COMMIT as the clients of PostgreSQL and MariaDB send it."""

PATIENCE = 60.0


class Connection:
    """One connection through a route.

    Attributes:
        doomed: whether it is cut as soon as the server has answered.
    """

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._ends = (client, server)
        self.doomed = False

    def cut(self) -> None:
        """Abort both ends, discarding data in transit."""
        for end in self._ends:
            end.transport.abort()


class Route:
    """One worker's route to the server.

    Attributes:
        port: the local port that leads to the server.
        cuts: the number of connections that were cut at a commit.
        disturbances: when it was disturbed.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._connections: set[Connection] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._armed = ""
        self._delay = 0.0
        self.port = 0
        self.cuts = 0
        self.disturbances = Disturbances()

    async def open(self) -> None:
        """Listen for connections."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, and abort every connection."""
        self._listener.close()
        await self.drop()

    async def drop(self) -> None:
        """Abort every connection."""
        self.disturbances.note_instant()
        for connection in list(self._connections):
            connection.cut()

    async def refuse(self, refuses: bool) -> None:
        """Abort every connection and refuse new ones, until called with ``False``."""
        self._refuses = refuses
        if refuses:
            self.disturbances.begin("refused")
            await self.drop()
        else:
            self.disturbances.end("refused")

    async def delay(self, seconds: float) -> None:
        """Deliver all data this much later, in each direction."""
        self._delay = seconds

    async def swallow(self, swallows: bool) -> None:
        """Hold all data back silently, until called with ``False``; then deliver it late."""
        if swallows:
            self.disturbances.begin("swallowed")
            self._flows.clear()
        else:
            self._flows.set()
            self.disturbances.end("swallowed")

    async def arm(self, how: str) -> None:
        """Cut the next connection that commits.

        Args:
            how: ``answered`` cuts it when the server has answered, ``sent`` when COMMIT was sent;
                an empty string disarms it.
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
        connection = Connection(writer, far_writer)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(connection, reader, far_writer, up=True),
                self._pump(connection, far_reader, writer, up=False),
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            connection.cut()
            self._connections.discard(connection)

    async def _pump(
        self,
        connection: Connection,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        up: bool,
    ) -> None:
        while data := await source.read(65536):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._flows.wait()
            if connection.doomed:
                connection.cut()
                return
            how = self._armed if up and COMMIT.search(data) else ""
            if how:
                connection.doomed, self._armed = True, ""
                self.cuts += 1
                self.disturbances.note_instant()
            sink.write(data)
            await sink.drain()
            if how == "sent":
                connection.cut()
                return
        with suppress(OSError, RuntimeError):
            sink.close()


class Proxy:
    """Runs routes on its own thread.

    Args:
        target: the host and port of the server.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._routes: list[Route] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def route(self) -> Route:
        """Open a new route."""
        route: Route = self.do(self._new_route)
        self.do(route.open)
        self._routes.append(route)
        return route

    async def _new_route(self) -> Route:
        return Route(self._target)

    def do(self, action: Callable[..., Coroutine[Any, Any, T]], *values: object) -> T:
        """Run a coroutine in the proxy's event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(action(*values), self._loop).result(PATIENCE)

    def close(self) -> None:
        """Abort every connection and end the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        for route in self._routes:
            await route.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # their last callbacks
