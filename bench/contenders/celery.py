"""Celery on Redis as it is shipped: its worker with two processes, and its beat."""

from __future__ import annotations

import json
import os
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from bench.support.answer import URL
from bench.support.contender import helpers
from bench.support.figures import Figures
from bench.support.ledger import open_ledger, pen

ENTRIES = "DULY_BENCH_ENTRIES"
PATIENCE, SETTLE = 20, 2.0
WORKER = ("celery", "-A", "bench.contenders.celery", "worker", "-l", "ERROR", "-c", "2")
BEAT = ("celery", "-A", "bench.contenders.celery", "beat", "-l", "ERROR", "-s")

app = Celery("bench", broker=os.environ[URL])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
app.conf.timezone = "UTC"
app.conf.beat_schedule = {
    f"entry-{n}": {"task": "noop", "schedule": 1.0}
    for n in range(int(os.environ.get(ENTRIES, "0")))
}


@app.task(name="noop")
def noop() -> None:
    pen().note()


@app.task(name="since")
def since(sent: float) -> None:
    pen().note(time.time() - sent)


def drain(url: str, count: int, seconds: float) -> Figures:
    """See `bench.contenders.duly.drain`; it cannot enqueue in bulk."""
    noop.delay()  # connects
    with open_ledger() as ledger:
        began = time.perf_counter()
        for _ in range(count - 1):
            noop.delay()
        single = (count - 1) / (time.perf_counter() - began)
        with helpers(WORKER):
            ledger.wait(count, seconds)
    return {"rate": ledger.per_second(), "done": len(ledger.notes), "single": single}


def latency(url: str, count: int, pause: float, apart: bool) -> Figures:
    """See `bench.contenders.duly.latency`."""
    assert apart
    with open_ledger() as ledger, helpers(WORKER):
        ledger.send(lambda: since.delay(time.time()), count, pause)
    return ledger.latencies()


def fires(url: str, jobs: int, seconds: float) -> Figures:
    """How many messages its beat sends; they are not executed, so their lateness is unknown."""
    os.environ[ENTRIES] = str(jobs)
    queue: Any = redis.Redis.from_url(url)
    with tempfile.TemporaryDirectory() as folder, helpers((*BEAT, str(Path(folder) / "beat"))):
        first = queue.blpop("celery", PATIENCE)
        if first is None:
            return {"rate": 0, "p99": float("nan")}
        assert json.loads(b64decode(json.loads(first[1])["body"]))[0] == []
        time.sleep(SETTLE)
        queue.delete("celery")
        began = time.monotonic()
        time.sleep(seconds)
        rate = queue.llen("celery") / (time.monotonic() - began)
    return {"rate": rate, "p99": float("nan")}
