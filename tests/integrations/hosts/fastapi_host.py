"""A FastAPI application as users write them: its own lifespan, its own asyncio engine."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import column, insert, select, table
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from duly import Run, Scheduler, every, prepare_engine
from duly.integrations.fastapi import SchedulerDep
from tests.integrations.hosts.settings import ASYNC_URL, BEAT, GRACE, RHYTHM, START, URL, heard, say

POLL = 0.02
engine = prepare_engine(create_async_engine(ASYNC_URL))
effects = table("effect", column("nominal"), column("pid"))
orders = table("placed", column("number"))
scheduler = Scheduler(URL, heartbeat=RHYTHM, grace=GRACE, start=START)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with scheduler.lifespan(app):
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@scheduler.job(every(seconds=BEAT), id="beat")
async def beat(run: Run) -> None:
    async with engine.begin() as conn:
        row = {"nominal": str(run.scheduled_for), "pid": os.getpid()}
        await conn.execute(insert(effects).values(row))


@scheduler.task()
async def where(run: Run) -> dict[str, Any]:
    async with engine.connect() as conn:  # a pool that belongs to the loop of the requests
        counted = len((await conn.execute(select(orders))).all())
    return {**place(), "orders": counted}


@scheduler.task()
async def hold() -> str:
    say("entered")
    while not heard("leave"):  # noqa: ASYNC110 - it waits for another process
        await asyncio.sleep(POLL)
    return "finished"


@scheduler.task()
def hold_thread(run: Run) -> str:
    say("entered")
    while not heard("leave"):
        threading.Event().wait(POLL)
    return "finished"


@scheduler.task()
async def receipt(order: int) -> int:
    return order


@app.get("/")
async def health() -> dict[str, Any]:
    held = await scheduler.aio.health()
    return {"ok": held.ok, "engine": held.engine, "database": held.database}


@app.get("/where")
async def where_requests_run() -> dict[str, Any]:
    return place()


@app.post("/tasks/{name}")
async def start_task(name: str, found: SchedulerDep) -> str:
    return str(await found.aio.enqueue(name))


@app.post("/orders/{number}")
async def order(number: int, found: SchedulerDep, commit: bool = True) -> str:
    async with AsyncSession(engine) as session:
        await session.execute(insert(orders).values(number=number))
        run_id = await found.aio.enqueue(receipt, order=number, session=session)
        await (session.commit() if commit else session.rollback())
    return str(run_id)


def place() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "thread": threading.get_ident(),
        "loop": id(asyncio.get_running_loop()),
    }
