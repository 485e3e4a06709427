"""PgQueuer on asyncpg; its worker buffers the outcomes of its jobs."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from typing import Any

import asyncpg
from pgqueuer import AsyncpgDriver, PgQueuer, Queries

from bench.support.contender import helpers
from bench.support.figures import Figures
from bench.support.ledger import open_ledger, pen

CHUNK, ALONE = 1000, 500
NUMBER = struct.Struct("<d")


def drain(url: str, count: int, seconds: float, batch: int) -> Figures:
    """See `bench.contenders.duly.drain`."""
    alone = min(count // 2, ALONE)
    asyncio.run(_install(url))
    single = asyncio.run(_enqueue(url, alone, 1))
    bulk = asyncio.run(_enqueue(url, count - alone, CHUNK))
    with open_ledger() as ledger, helpers(_worker(url, batch)):
        ledger.wait(count, seconds)
    return {"rate": ledger.per_second(), "done": len(ledger.notes), "single": single, "bulk": bulk}


def latency(url: str, count: int, pause: float, apart: bool) -> Figures:
    """See `bench.contenders.duly.latency`."""
    assert apart
    asyncio.run(_install(url))
    with asyncio.Runner() as runner, open_ledger() as ledger, helpers(_worker(url, 10)):
        conn = runner.run(_connect(url))
        queries = Queries(AsyncpgDriver(conn))

        def call() -> None:
            runner.run(queries.enqueue("since", NUMBER.pack(time.time())))

        ledger.send(call, count, pause)
        runner.run(conn.close())
    return ledger.latencies()


def scale(url: str, count: int, workers: int, seconds: float, batch: int) -> Figures:
    """See `bench.contenders.duly.scale`."""
    asyncio.run(_install(url))
    asyncio.run(_enqueue(url, count, CHUNK, "numbered"))
    with open_ledger() as ledger, helpers(*[_worker(url, batch)] * workers):
        ledger.wait(count, seconds)
    return ledger.shared()


def work(url: str, batch: int) -> Figures:
    """Run a worker until it is killed."""
    asyncio.run(_work(url, batch))
    return {}


async def _work(url: str, batch: int) -> None:
    worker = PgQueuer(AsyncpgDriver(await _connect(url)))
    note = pen().note

    @worker.entrypoint("noop")
    async def noop(job: Any) -> None:
        note()

    @worker.entrypoint("numbered")
    async def numbered(job: Any) -> None:
        note(*NUMBER.unpack(job.payload))

    @worker.entrypoint("since")
    async def since(job: Any) -> None:
        note(time.time() - NUMBER.unpack(job.payload)[0])

    await worker.run(batch_size=batch)


async def _install(url: str) -> None:
    conn = await _connect(url)
    await Queries(AsyncpgDriver(conn)).install()
    await conn.close()


async def _enqueue(url: str, count: int, step: int, task: str = "noop") -> float:
    conn = await _connect(url)
    queries = Queries(AsyncpgDriver(conn))
    began = time.perf_counter()
    for first in range(0, count, step):
        numbers = range(first, min(first + step, count))
        if step == 1:
            await queries.enqueue(task, None)
        else:
            payloads = [NUMBER.pack(n) if task == "numbered" else None for n in numbers]
            await queries.enqueue([task] * len(numbers), payloads, [0] * len(numbers))
    taken = time.perf_counter() - began
    await conn.close()
    return count / taken


async def _connect(url: str) -> Any:
    return await asyncpg.connect(url.replace("+psycopg", ""))


def _worker(url: str, batch: int) -> tuple[str, ...]:
    return (":pgqueuer", "work", json.dumps({"url": url, "batch": batch}))
