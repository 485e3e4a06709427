"""A process that executes functions for this one, as this one sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from duly.executors.wire import Message, Wire

BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]);"
    "from duly.executors.child import main; main(int(sys.argv[1]), int(sys.argv[3]))"
)
"""What it runs. It does not import this process's main program, which may be a server."""

LAST_WORDS = 1.0
"""Seconds that a process has to end when it is asked to."""

LOOK = 1.0
"""Seconds between two looks at whether it lives: a process that it has started itself may hold its
end of the wire open."""


class ChildGone(Exception):
    """The process has ended by itself; the message says how."""


class ChildProcess:
    """A fresh interpreter with this process's module path.

    Raises:
        OSError: the system gives no process.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), json.dumps(sys.path), str(os.getpid())]
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                    [sys.executable, "-c", BOOT, *arguments],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            except BaseException:
                ours.close()
                raise
        self._wire = Wire(ours)
        self.uses = 0

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send(self, message: Message) -> None:
        """Send it a message; one that has ended misses nothing."""
        with suppress(OSError):
            self._wire.send(message)

    def receive(self) -> Message:
        """Its next message, whenever that comes.

        Raises:
            ChildGone: it has ended.
        """
        try:
            while (message := self._wire.receive(LOOK)) is None:
                if not self.alive:
                    break
            else:
                return message
        except EOFError:
            pass
        raise ChildGone(self._how_it_ended())

    def stop(self) -> None:
        """Have the function stop: `run.cancelled` turns true and SIGTERM interrupts it."""
        self.send({"stop": True})
        with suppress(OSError):
            self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        with suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """End it if it has not, and collect it."""
        self._wire.close()
        try:
            self._process.wait(LAST_WORDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(LAST_WORDS)
        except subprocess.TimeoutExpired:
            return "the process of this run closed its connection to the worker"
        if code >= 0:
            return f"the process of this run ended by itself with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (by hand, or because memory was short)" if -code == signal.SIGKILL else ""
        return f"the process of this run was killed by {name}{hint}"
