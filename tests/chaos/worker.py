"""The nursery: a process that has imported everything and forks a worker for each order.

Forking makes a worker ready in a few milliseconds; starting Python for each of hundreds that are
killed would measure Python. Orders are lines of JSON on stdin; each is answered
by the worker's pid.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from duly import Clock, Event, Scheduler, SystemClock
from tests.chaos.clock import SteppedClock
from tests.chaos.journal import Journal
from tests.chaos.work import Work, tell_tokens

PARENT_DIED = 1  # PR_SET_PDEATHSIG
LATE_IMPORTS = (
    "alembic.op", "psycopg", "pymysql", "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.postgresql.psycopg",
)  # fmt: skip
GRACE = 1.0
LOOK = 0.5
"""Seconds after which a signal is noticed for sure: under libfaketime it does not end a wait."""


def main() -> None:
    """Fork workers until stdin ends, then kill them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: the kernel does
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in LATE_IMPORTS:  # else each of hundreds would import them
        importlib.import_module(name)
    pids = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            become_worker(json.loads(line))
        pids.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def become_worker(order: dict[str, Any]) -> None:
    """Serve as a worker; never returns."""
    ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    folder = Path(order["folder"])
    output = os.open(folder / f"{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.register(signal.SIGUSR1)  # the stacks of all threads, into the log
    clock = Path(order["clock"])
    os.environ["FAKETIME_TIMESTAMP_FILE"] = str(clock)
    journal = Journal(folder / f"{os.getpid()}.journal")
    try:
        serve(order["url"], journal, SteppedClock(clock) if order["stepped"] else SystemClock())
    except BaseException:  # noqa: BLE001 - whatever it is, it is reported
        traceback.print_exc()
        journal.note("broken", detail=traceback.format_exc()[-2000:])
        os._exit(1)
    os._exit(0)


def serve(url: str, journal: Journal, clock: Clock) -> None:
    """Start a scheduler and serve until asked to end."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(message)s")
    scheduler = Scheduler(url, heartbeat="fast", grace=GRACE, clock=clock)
    tell_tokens()
    Work(scheduler, url, journal)

    def note(event: Event) -> None:
        journal.note("commit", event.run_id or "", detail=event.kind)

    for kind in ("run.succeeded", "run.failed"):
        scheduler.on(kind, note)
    scheduler.start()
    while not asked.wait(LOOK):
        pass
    scheduler.stop()
    journal.note("left")


if __name__ == "__main__":
    main()
