"""A child process that executes functions, as its worker sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from duly.executors.process.wire import Message, Wire

BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]);"
    "from duly.executors.process.child import main; main(int(sys.argv[1]), int(sys.argv[3]))"
)
"""Its program, which does not import this process's main program: that may be a server."""

EXIT_SECONDS = 1.0
"""Seconds that a process has to end when it is asked to."""

CHECK_EVERY = 1.0
"""Seconds between two checks that it is alive: a process that it has started itself may keep its
end of the wire open."""


class ChildGone(Exception):
    """A child process has ended without being asked to; the message says how."""


class ChildProcess:
    """A fresh interpreter with this process's module path, in a process group of its own.

    Raises:
        OSError: the system cannot start a process.
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
                    start_new_session=True,  # so that what its functions start ends with it
                )
            except BaseException:
                ours.close()
                raise
        self._wire = Wire(ours)
        self.uses = 0

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def send(self, message: Message) -> None:
        """Send a message, unless the process has ended."""
        with suppress(OSError):
            self._wire.send(message)

    def receive(self) -> Message:
        """Wait for the next message and return it.

        Raises:
            ChildGone: the process has ended.
        """
        try:
            while (message := self._wire.receive(CHECK_EVERY)) is None:
                if not self.alive:
                    break
            else:
                return message
        except EOFError:
            pass
        raise ChildGone(self._how_it_ended())

    def stop(self) -> None:
        """Ask the function to stop: `run.cancelled` becomes true and SIGTERM interrupts it."""
        self.send({"stop": True})
        with suppress(OSError):
            self._process.terminate()

    def kill(self) -> None:
        """End the process at once, with all processes of its group that its functions started."""
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and its group, and collect its exit status."""
        self.kill()
        self._wire.close()
        self._process.wait()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return "the process of this run closed its connection to the worker"
        if code >= 0:
            return f"the process of this run ended by itself with exit code {code}"
        hint = " (by hand, or because memory ran out)" if -code == signal.SIGKILL else ""
        return f"the process of this run was killed by {signal_name(-code)}{hint}"


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGKILL``, or its number if it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
