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
    """A process of its own group, so that its own children end with it.

    Args:
        command: program and arguments.
        log: the file that takes what it prints.
        cwd: where it runs.
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
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def output(self) -> str:
        """What it has printed until now, errors included."""
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str, *, timeout: float = START) -> re.Match[str]:
        """Wait until its output matches ``pattern``.

        Raises:
            TimeoutError: it did not within ``timeout`` seconds.
            RuntimeError: it ended without.
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
        """Wait until it ends by itself, and return its exit code (negative: the signal)."""
        self._await(lambda: not self.running, timeout, "the end of the process")
        return int(self._process.returncode)

    def _await(self, check: Callable[[], T], timeout: float, what: str) -> T:
        try:
            return wait_until(check, timeout=timeout, what=what)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it printed:\n{self.output()[-3000:]}") from None

    def signal(self, number: int) -> None:
        """Send a signal to this process alone."""
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop it and its children where they stand (SIGSTOP)."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on (SIGCONT)."""
        self._signal_group(signal.SIGCONT)

    def terminate(self, *, timeout: float = START) -> int:
        """Ask it to end (SIGTERM), wait for that, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout=timeout)

    def kill(self) -> None:
        """End it and its children at once (SIGKILL), and wait until they have ended."""
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
    """A child that serves HTTP on 127.0.0.1; `url` has no slash at its end."""

    url: str = ""

    def ready(self, path: str, *, timeout: float = START) -> None:
        """Wait until ``path`` answers with anything but a server error."""

        def answers() -> bool:
            if not self.running:
                raise RuntimeError(f"the server ended:\n{self.output()}")
            return status(self.url + path) < 500

        self._await(answers, timeout, f"an answer from {self.url}{path}")


class Children:
    """Starts child processes and kills, at the end of its block, those that still run.

    Args:
        folder: where they run and where their output goes.
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
            arguments: as on its command line.
            env: added to this process's environment.
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
    """The file that says, while it exists, that the session answers for this process's end."""
    folder = session_folder() / "children"
    folder.mkdir(exist_ok=True)
    return folder / str(pid)


def kill_orphans() -> None:
    """Kill the children of test processes that were themselves killed before they could."""
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
    """The HTTP status that ``url`` answers with; 599 while nothing answers."""
    try:
        with _opener.open(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 599
