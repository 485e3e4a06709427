"""Procrastinate on psycopg, with a worker that runs twenty at once.

Its query for the next job is many times slower while the planner knows nothing of the table, as
long as nobody has analysed it: both are measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import time

import procrastinate
import psycopg

from bench.support.answer import URL
from bench.support.contender import helpers
from bench.support.figures import Figures
from bench.support.ledger import open_ledger, pen

CHUNK, ALONE, AT_ONCE = 1000, 500, 20
ADDRESS = os.environ[URL].replace("+psycopg", "")
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=ADDRESS))


@app.task(name="noop")
async def noop() -> None:
    pen().note()


@app.task(name="numbered")
async def numbered(number: int) -> None:
    pen().note(number)


@app.task(name="since")
async def since(sent: float) -> None:
    pen().note(time.time() - sent)


def drain(url: str, count: int, seconds: float, analysed: bool) -> Figures:
    """See `bench.contenders.duly.drain`."""
    _install()
    alone = min(count // 2, ALONE)
    single, bulk = asyncio.run(_enqueue(alone, count - alone, analysed))
    with open_ledger() as ledger, helpers(_worker(url)):
        ledger.wait(count, seconds)
    return {"rate": ledger.per_second(), "done": len(ledger.notes), "single": single, "bulk": bulk}


def latency(url: str, count: int, pause: float, apart: bool) -> Figures:
    """See `bench.contenders.duly.latency`."""
    assert apart
    _install()
    with asyncio.Runner() as runner, open_ledger() as ledger, helpers(_worker(url)):
        runner.run(_open())
        ledger.send(lambda: runner.run(since.defer_async(sent=time.time())), count, pause)
        runner.run(_close())
    return ledger.latencies()


def scale(url: str, count: int, workers: int, seconds: float, analysed: bool) -> Figures:
    """See `bench.contenders.duly.scale`."""
    _install()
    asyncio.run(_enqueue_numbered(count))
    if analysed:
        _analyse()
    with open_ledger() as ledger, helpers(*[_worker(url)] * workers):
        ledger.wait(count, seconds)
    return ledger.shared()


def work(url: str) -> Figures:
    """Run a worker until SIGTERM."""
    asyncio.run(_work())
    return {}


async def _open() -> None:
    await app.open_async()


async def _close() -> None:
    await app.close_async()


async def _work() -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=AT_ONCE)


async def _enqueue(alone: int, rest: int, analysed: bool) -> tuple[float, float]:
    async with app.open_async():
        began = time.perf_counter()
        for _ in range(alone):
            await noop.defer_async()
        single = alone / (time.perf_counter() - began)
        began = time.perf_counter()
        for first in range(0, rest, CHUNK):
            await noop.batch_defer_async(*[{}] * min(CHUNK, rest - first))
        bulk = rest / (time.perf_counter() - began)
    if analysed:
        _analyse()
    return single, bulk


async def _enqueue_numbered(count: int) -> None:
    async with app.open_async():
        for first in range(0, count, CHUNK):
            numbers = range(first, min(first + CHUNK, count))
            await numbered.batch_defer_async(*[{"number": number} for number in numbers])


def _install() -> None:
    connector = procrastinate.SyncPsycopgConnector(conninfo=ADDRESS)
    with procrastinate.App(connector=connector).open() as opened:
        opened.schema_manager.apply_schema()


def _analyse() -> None:
    with psycopg.connect(ADDRESS, autocommit=True) as conn:
        conn.execute("vacuum analyze")


def _worker(url: str) -> tuple[str, ...]:
    return (":procrastinate", "work", json.dumps({"url": url}))
