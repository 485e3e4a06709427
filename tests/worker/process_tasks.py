"""Functions that a child process imports and calls."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from duly import Discard, RetryAfter, Run, RunInterrupted, Snooze
from tests.support.waiting import wait_until


def where(run: Run) -> dict[str, Any]:
    """Return this process's id and the facts of its run."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "key": run.idempotency_key,
        "attempt": run.attempt,
        "nominal": run.scheduled_for and run.scheduled_for.isoformat(),
        "previous": run.previous_success and run.previous_success.isoformat(),
        "year": run.now().year,
        "main": getattr(sys.modules["__main__"], "__file__", None),
        "main_thread": threading.current_thread() is threading.main_thread(),
    }


def add(a: int, b: int = 2) -> int:
    """A plain function with arguments."""
    return a + b


def talk(run: Run, lines: int = 3) -> None:
    """Report progress, count, log."""
    for number in range(lines):
        run.log.info("line %d", number)
        run.progress(number + 1, lines, "half way")
        run.count(seen=1)
    logging.getLogger("app").warning("a warning")


def raise_this(what: str) -> None:
    """Raise an error or a signal of the given kind."""
    if what == "retry":
        raise RetryAfter(7)
    if what == "snooze":
        raise Snooze(seconds=9)
    if what == "until":
        raise Snooze(datetime(2031, 1, 1, tzinfo=UTC))
    if what == "discard":
        raise Discard("nobody needs it")
    if what == "exit":
        sys.exit(3)
    raise LookupError(f"no {what} \x00 here")


def die(how: str) -> None:
    """End the process in the given way."""
    if how == "exit":
        os._exit(17)
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


def hang(folder: str, how: str = "sleep") -> None:
    """Write the process id, run for a long time, and write what interrupts it."""
    Path(folder, "pid").write_text(str(os.getpid()))
    try:
        if how == "deaf":
            while True:
                with suppress(BaseException):
                    time.sleep(100)
        elif how == "busy":
            while True:
                pass
        elif how == "inside":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            ctypes.PyDLL(None).sleep(100)  # holds the interpreter's lock
        else:
            time.sleep(100)
    finally:
        Path(folder, "ended").touch()


def wait_for(folder: str) -> str:
    """Run until a file exists."""
    Path(folder, "pid").write_text(str(os.getpid()))
    wait_until(Path(folder, "go").exists)
    return "done"


def polite(run: Run, folder: str) -> None:
    """Write whether ``run.cancelled`` is true when the function is interrupted."""
    Path(folder, "pid").touch()
    try:
        time.sleep(100)
    finally:
        Path(folder, f"cancelled {run.cancelled}").touch()


def huge() -> str:
    """Return a result that is too large to be stored."""
    return "x" * 10_000_000


def orphan(folder: str) -> None:
    """Die while a child process survives and keeps every descriptor open."""
    grandchild = os.fork()
    if grandchild == 0:
        time.sleep(100)
        os._exit(0)
    Path(folder, "grandchild").write_text(str(grandchild))
    os._exit(5)


def shell() -> str:
    """Run a command in another process."""
    return subprocess.run(["/bin/echo", "hello"], capture_output=True, check=True).stdout.decode()


def endless() -> Iterator[int]:
    """Return an iterator without an end."""
    return itertools.count()


class Rude(Exception):
    """An exception whose message ends the process that asks for it."""

    def __str__(self) -> str:
        raise SystemExit("the end")


def rude() -> None:
    """Raise an exception that cannot be described."""
    raise Rude


def hidden_coroutine() -> Any:
    """Return a coroutine, as a coroutine function behind a plain wrapper does."""

    async def work() -> str:
        await asyncio.sleep(0)
        return "awaited"

    return work()


def cleans_up(run: Run) -> None:
    """Work until it is interrupted, and log that."""
    run.count(working=1)
    try:
        time.sleep(100)
    except RunInterrupted:
        run.log.info("cleaned up")
        raise


def starts_another(folder: str) -> None:
    """Start a process, and wait for it in a way that no signal interrupts for long."""
    another = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    Path(folder, "another").write_text(str(another.pid))
    time.sleep(100)


def _forked() -> bool:
    """Fork, wait for the child, and return whether this is the child."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid == 0


def forks_and_exits() -> str:
    """Leave the child by ``sys.exit``."""
    if _forked():
        sys.exit(0)
    return "parent"


def forks_and_returns() -> str:
    """Return in both processes."""
    return "child" if _forked() else "parent"


def forks_and_raises() -> str:
    """Raise in the child."""
    if _forked():
        raise LookupError("in the child")
    return "parent"


def leak(key: str, run: Run, outcome: str) -> dict[str, Any]:
    """Let a secret out by every way that a function has."""
    from tests.faults.test_secrets import let_out

    return let_out(key, run, outcome)
