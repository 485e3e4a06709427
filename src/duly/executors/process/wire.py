"""A socket between two processes that carries JSON messages."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from typing import Any

Message = dict[str, Any]
_LENGTH = struct.Struct("!I")
_CHUNK = 65_536


class Wire:
    """One end of the connection. One thread may receive; any thread may send.

    Args:
        end: a connected socket, which the wire will close.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._received = bytearray()
        self._ready = select.poll()
        self._ready.register(end, select.POLLIN)
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message of plain values.

        Raises:
            OSError: the other end is gone.
        """
        data = json.dumps(message).encode()
        with self._lock:
            self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, seconds: float) -> Message | None:
        """Return the next message, or ``None`` if none arrives in time.

        Args:
            seconds: how long to wait.

        Raises:
            EOFError: the other end is gone.
        """
        while (message := self._next()) is None:
            if not self._ready.poll(seconds * 1000):
                return None
            try:
                chunk = self._socket.recv(_CHUNK)
            except OSError as error:
                raise EOFError(str(error)) from error
            if not chunk:
                raise EOFError("the other end is closed")
            self._received += chunk
        return message

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _next(self) -> Message | None:
        if len(self._received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._received)
        end = _LENGTH.size + length
        if len(self._received) < end:
            return None
        message: Message = json.loads(self._received[_LENGTH.size : end])
        del self._received[:end]
        return message
