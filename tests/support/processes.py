"""Child processes for tests: started, waited for with a deadline, and always killed at the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil

from tests.support.session import session_folder
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
C = TypeVar("C", bound="Child")

ADDRESS = r"(?:[Rr]unning on|Listening at:) (http://127\.0\.0\.1:\d+)"
START = 150.0  # seconds that a child may take to come up on a busy machine


class Child:
    """A child process in a process group of its own, so that its children end with it.

    Args:
        command: the program and its arguments.
        log: the file that receives its output.
        cwd: its working directory.
        env: its whole environment.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path, cwd: Path, env: Mapping[str, str]
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
        note(self.pid).touch()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def output(self) -> str:
        """Return everything printed so far, including errors."""
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str, *, timeout: float = START) -> re.Match[str]:
        """Wait until the output matches ``pattern``.

        Raises:
            TimeoutError: it did not match within ``timeout`` seconds.
            RuntimeError: the process ended before it matched.
        """

        def look() -> re.Match[str] | None:
            ended = not self.running
            found = re.search(pattern, self.output(), re.MULTILINE)
            if ended and not found:
                raise RuntimeError(f"ended before it printed {pattern!r}:\n{self.output()}")
            return found

        found = self._await(look, timeout, f"output matching {pattern!r}")
        assert found is not None
        return found

    def wait(self, *, timeout: float = START) -> int:
        """Wait until the process ends, and return its exit code (negative for a signal)."""
        self._await(lambda: not self.running, timeout, "the end of the process")
        return int(self._process.returncode)

    def _await(self, check: Callable[[], T], timeout: float, what: str) -> T:
        try:
            return wait_until(check, timeout=timeout, what=what)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it printed:\n{self.output()[-3000:]}") from None

    def signal(self, number: int) -> None:
        """Send a signal to this process, but not to its children."""
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Pause the process and its children (SIGSTOP)."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the process and its children (SIGCONT)."""
        self._signal_group(signal.SIGCONT)

    def terminate(self, *, timeout: float = START) -> int:
        """Send SIGTERM, wait until the process has ended, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout=timeout)

    def kill(self) -> None:
        """Kill the process and its children (SIGKILL), and wait until they have ended."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        wait_until(lambda: not self._group_lives(), what="the end of a killed child's children")
        note(self.pid).unlink(missing_ok=True)

    def _signal_group(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _group_lives(self) -> bool:
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                ours = os.getpgid(process.pid) == self.pid
                # One that has ended but that nobody has collected yet is no longer alive.
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False


class Server(Child):
    """A child that serves HTTP on 127.0.0.1 at `url`, which has no trailing slash."""

    url: str = ""

    def ready(self, path: str, *, timeout: float = START) -> None:
        """Wait until ``path`` answers with anything but a server error."""

        def answers() -> bool:
            if not self.running:
                raise RuntimeError(f"the server ended:\n{self.output()}")
            return status(self.url + path) < 500

        self._await(answers, timeout, f"an answer from {self.url}{path}")


class Children:
    """Starts child processes, and kills those that still run at the end of its ``with`` block.

    Args:
        folder: their working directory, which also receives their output.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._all:
            child.kill()

    def python(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Child:
        """Start Python with ``arguments`` (``"-c", code``; ``"-m", module``; a script's path).

        Args:
            arguments: Python's command line.
            env: variables to add to this process's environment.
        """
        return self._start(Child, arguments, env)

    def uvicorn(
        self,
        app: str,
        *options: str,
        ready: str = "/",
        port: int = 0,
        env: Mapping[str, str] | None = None,
    ) -> Server:
        """Start a web server and wait until it answers.

        Args:
            app: ``"module:attribute"``.
            options: more of uvicorn's command line, for example ``"--workers", "2"``.
            ready: the path that must answer.
            port: 0 takes a free one.
            env: added to this process's environment.
        """
        where = ("--host", "127.0.0.1", "--port", str(port))
        return self.server(
            "-m", "uvicorn", app, *where, "--no-access-log", *options, ready=ready, env=env
        )

    def server(
        self, *arguments: str | Path, ready: str = "/", env: Mapping[str, str] | None = None
    ) -> Server:
        """Start any other web server that prints its address, and wait until it answers.

        Args:
            arguments: Python's command line; let the server take a free port.
            ready: the path that must answer; empty: none is asked.
            env: added to this process's environment.
        """
        server = self._start(Server, arguments, env)
        server.url = server.wait_for(ADDRESS)[1]
        if ready:
            server.ready(ready)
        return server

    def _start(
        self, kind: type[C], arguments: Sequence[str | Path], env: Mapping[str, str] | None
    ) -> C:
        child = kind(
            [sys.executable, *map(str, arguments)],
            log=self._folder / f"child-{len(self._all)}.log",
            cwd=self._folder,
            env={**os.environ, **SURROUNDINGS, **(env or {})},
        )
        self._all.append(child)
        return child


def note(pid: int) -> Path:
    """Return the file whose existence means that the session has to end this process."""
    folder = session_folder() / "children"
    folder.mkdir(exist_ok=True)
    return folder / str(pid)


def kill_orphans() -> None:
    """Kill the children of test processes that were killed themselves."""
    for left in (session_folder() / "children").glob("*"):
        with suppress(ProcessLookupError):
            os.killpg(int(left.name), signal.SIGKILL)


SURROUNDINGS = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
}

# Whatever proxy the environment names, these requests stay on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def status(url: str) -> int:
    """Return the HTTP status of ``url``, or 599 if nothing answers."""
    try:
        with _opener.open(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 599
