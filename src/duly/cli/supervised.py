"""The process under a supervisor: it reports that it has started, and ends with it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress

VARIABLE = "DULY_SUPERVISOR"
"""The environment variable that holds the descriptor of the socket to the supervisor, a colon, and
the number of the process."""


class SupervisorLink:
    """The connection of this process to the supervisor that has started it.

    When the supervisor dies, however suddenly, the connection breaks, and this process receives
    SIGTERM: it finishes its runs as in any other shutdown, and no process is left behind.

    Args:
        descriptor: the inherited socket.
        number: the number of this process among those of its supervisor, from 1.
    """

    def __init__(self, descriptor: int, number: int) -> None:
        self.number = number
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        threading.Thread(target=self._watch, name="duly-supervisor", daemon=True).start()

    def report_started(self, grace: float) -> None:
        """Tell the supervisor that this process works, and its grace period in seconds."""
        with suppress(OSError):  # it has just died, which the thread notices
            self._socket.sendall(f"{grace}\n".encode())

    def _watch(self) -> None:
        with suppress(OSError):
            while self._socket.recv(1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)


def supervisor_link() -> SupervisorLink | None:
    """Return the connection to the supervisor; ``None`` if a user has started this process.

    The variable is removed, so that no process that functions start takes it for its own.
    """
    value = os.environ.pop(VARIABLE, None)
    return None if value is None else SupervisorLink(*map(int, value.split(":")))


def environment_with(descriptor: int, number: int) -> Mapping[str, str]:
    """Return this process's environment with what a supervised process inherits.

    Args:
        descriptor: the socket to the supervisor.
        number: the number of the process, from 1.
    """
    return {**os.environ, VARIABLE: f"{descriptor}:{number}"}
