"""A deadline for a whole conversation; the timeouts of sockets limit only each of its steps."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from duly.clock import SystemClock


class Deadline:
    """Ends a conversation that takes too long, by shutting its socket down.

    The ``with`` statement raises `TimeoutError` then, unless the conversation fails by itself:
    what was received may look complete, although it is not.

    Args:
        seconds: how long it may take, from the beginning of the ``with`` statement.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._socket: Callable[[], socket.socket | None] = lambda: None
        self._passed = False
        self._clock = SystemClock()
        self._end_at = self._clock.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left; 0 if there are none."""
        return max(0.0, self._end_at - self._clock.monotonic())

    def watch(self, find: Callable[[], socket.socket | None]) -> None:
        """Shut down the socket that ``find`` returns then."""
        self._socket = find

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._passed and error is None:
            raise TimeoutError("the conversation took too long")

    def _end(self) -> None:
        self._passed = True
        used = self._socket()
        if used is not None:
            with suppress(OSError):
                socket.socket.shutdown(used, socket.SHUT_RDWR)  # that of TLS is not thread-safe
