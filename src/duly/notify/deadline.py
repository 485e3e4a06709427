"""A deadline for a whole conversation; the timeouts of sockets limit only each of its steps."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Deadline:
    """Ends a conversation that takes too long, by shutting its socket down.

    Args:
        seconds: how long it may take, from the beginning of the ``with`` statement.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._socket: Callable[[], socket.socket | None] = lambda: None

    def watch(self, find: Callable[[], socket.socket | None]) -> None:
        """Shut down the socket that ``find`` returns then."""
        self._socket = find

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        used = self._socket()
        if used is not None:
            with suppress(OSError):
                used.shutdown(socket.SHUT_RDWR)
