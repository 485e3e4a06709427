"""Processes that each execute one charge and are killed at some point of it.

Run as ``python charger.py URL COUNT``. The database holds a table ``charge (n)``, deliberately
without a unique key, and one enqueued call with ``n`` in each queue ``q<n>``, for n from 0 to
COUNT. The last call is executed by a process that survives. It counts the points at which the
others can die: before and after each statement and commit, and between the function's own steps.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, Pool, event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from duly import Run, Scheduler
from tests.support.drivers import connect, query

PARALLEL = 5
ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql+psycopg": "postgresql+asyncpg"}
CHARGE = text("insert into charge (n) values (:n)")


class Fate:
    """Counts points from the claim of the run onwards, and kills this process at one of them."""

    def __init__(self, deadly: int | None) -> None:
        self.passed = 0
        self._deadly = deadly
        self._claimed = False

    def claim(self, *_: object) -> None:
        self._claimed = True
        self.point()

    def point(self, *_: object) -> None:
        if not self._claimed:
            return
        self.passed += 1
        if self.passed == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def live(url: str, n: int, deadly: int | None) -> int:
    """Step a worker of one queue once, and return the number of points that it passed."""
    driver, _, place = url.partition(":")
    coroutine = n % 2 == 1 and driver in ASYNC
    address = f"{ASYNC[driver]}:{place}" if coroutine else url
    scheduler = Scheduler(address, queues={f"q{n}": 1})
    fate = Fate(deadly)
    declare(scheduler, fate, "coroutine" if coroutine else "driver" if n % 4 == 2 else "session")
    for name in ("before_cursor_execute", "after_cursor_execute", "commit", "rollback"):
        event.listen(Engine, name, fate.point)
    event.listen(Session, "after_commit", fate.point)
    event.listen(Pool, "checkin", fate.point)
    scheduler.on("run.started", fate.claim)
    scheduler.tick()
    return fate.passed


def declare(scheduler: Scheduler, fate: Fate, form: str) -> None:
    """Register the task in one of its three forms."""

    def charge(n: int, session: Session) -> None:
        fate.point()
        session.execute(CHARGE, {"n": n})
        fate.point()
        with session.begin_nested():
            session.execute(text("update charge set n = n where n = :n"), {"n": n})
        fate.point()

    async def charge_async(n: int, session: AsyncSession) -> None:
        fate.point()
        await session.execute(CHARGE, {"n": n})
        fate.point()
        async with session.begin_nested():
            await session.execute(text("update charge set n = n where n = :n"), {"n": n})
        fate.point()

    def charge_on_driver(n: int, run: Run) -> None:
        fate.point()
        query(run.connection(), f"insert into charge (n) values ({n})")
        fate.point()

    forms: dict[str, Callable[..., Any]] = {
        "session": charge, "coroutine": charge_async, "driver": charge_on_driver,
    }  # fmt: skip
    transactional = (lambda: connect(scheduler.store.url)) if form == "driver" else True
    scheduler.task("charge", transactional=transactional)(forms[form])


def fork(url: str, n: int, deadly: int | None) -> int:
    """Run `live` in a child that exits with the number of points; return the child's process id."""
    child = os.fork()
    if child:
        return child
    passed = 0
    try:
        passed = live(url, n, deadly)
    finally:
        os._exit(passed)


def main(url: str, count: int) -> None:
    """Fork all children, a few at a time, and print how each of them ended."""
    points = os.waitstatus_to_exitcode(os.waitpid(fork(url, count, None), 0)[1])
    killed, going = 0, set[int]()
    for n in range(count):
        going.add(fork(url, n, 1 + random.Random(n).randrange(points)))
        while len(going) >= PARALLEL or (n == count - 1 and going):
            child, status = os.wait()
            going.discard(child)
            killed += os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    print(f"points {points} killed {killed}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
