"""Huey on SQLite, as it is shipped: WAL, and a run that was taken is forgotten."""

from __future__ import annotations

import os
import time

from huey import SqliteHuey

from bench.support.answer import URL
from bench.support.contender import helpers
from bench.support.figures import Figures
from bench.support.ledger import open_ledger, pen

queue = SqliteHuey("bench", filename=os.environ[URL].removeprefix("sqlite:///"), results=False)
CONSUMER = ("huey_consumer", "bench.contenders.huey.queue", "-q", "-w", "1")


@queue.task()
def noop() -> None:
    pen().note()


@queue.task()
def since(sent: float) -> None:
    pen().note(time.time() - sent)


def drain(url: str, count: int, seconds: float) -> Figures:
    """See `bench.contenders.duly.drain`; it cannot enqueue in bulk."""
    with open_ledger() as ledger:
        began = time.perf_counter()
        for _ in range(count):
            noop()
        single = count / (time.perf_counter() - began)
        with helpers(CONSUMER):
            ledger.wait(count, seconds)
    return {"rate": ledger.per_second(), "done": len(ledger.notes), "single": single}


def latency(url: str, count: int, pause: float, apart: bool) -> Figures:
    """See `bench.contenders.duly.latency`."""
    assert apart
    with open_ledger() as ledger, helpers(CONSUMER):
        ledger.send(lambda: since(time.time()), count, pause)
    return ledger.latencies()
