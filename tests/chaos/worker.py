"""A process that has imported everything and forks a worker for each request.

Forking makes a worker ready within milliseconds. Starting Python for each of the hundreds that are
killed would measure Python. A request is a line of JSON on stdin; the answer is the worker's pid.
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
from tests.chaos.load import Load, load_named
from tests.chaos.tasks import Tasks, show_tokens

PARENT_DIED = 1  # PR_SET_PDEATHSIG
LATE_IMPORTS = (
    "alembic.op", "psycopg", "pymysql", "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.postgresql.psycopg",
)  # fmt: skip
GRACE = 1.0
POLL = 0.5
"""Seconds between two looks for a signal: under libfaketime a signal does not end a wait."""


def main() -> None:
    """Fork workers until stdin ends, then kill them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in LATE_IMPORTS:  # so that not every worker imports them again
        importlib.import_module(name)
    pids = []
    for line in sys.stdin:
        request = json.loads(line)
        load_named(request["load"])
        pid = os.fork()
        if pid == 0:
            become_worker(request)
        pids.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def become_worker(request: dict[str, Any]) -> None:
    """Turn a forked process into a worker; never return."""
    ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    folder = Path(request["folder"])
    output = os.open(folder / f"{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.register(signal.SIGUSR1)  # the stacks of all threads, into the log
    clock = Path(request["clock"])
    os.environ["FAKETIME_TIMESTAMP_FILE"] = str(clock)
    journal = Journal(folder / f"{os.getpid()}.journal")
    try:
        used = SteppedClock(clock) if request["stepped"] else SystemClock()
        serve(request["url"], journal, used, load_named(request["load"]))
    except BaseException:  # noqa: BLE001 - any failure of the harness is reported
        traceback.print_exc()
        journal.note("broken", detail=traceback.format_exc()[-2000:])
        os._exit(1)
    os._exit(0)


def serve(url: str, journal: Journal, clock: Clock, load: Load) -> None:
    """Run a scheduler until SIGTERM."""
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(message)s")
    scheduler = Scheduler(url, heartbeat="fast", grace=GRACE, clock=clock)
    show_tokens()
    Tasks(scheduler, url, journal)
    load.declare(scheduler, url)

    def note(event: Event) -> None:
        journal.note("commit", event.run_id or "", detail=event.kind)

    for kind in ("run.succeeded", "run.failed"):
        scheduler.on(kind, note)
    scheduler.start()
    while not terminated.wait(POLL):
        pass
    scheduler.stop()
    journal.note("left")


if __name__ == "__main__":
    main()
