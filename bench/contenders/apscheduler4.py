"""APScheduler 4 (a pre-release) on PostgreSQL with asyncpg, and its events over NOTIFY."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from apscheduler import AsyncScheduler, current_job
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.eventbrokers.asyncpg import AsyncpgEventBroker
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy.ext.asyncio import create_async_engine

from bench.support.figures import Figures
from bench.support.ledger import open_ledger, pen
from bench.support.window import Window

SETTLE = 2.0
ADDED_PER_SECOND = 100


async def late() -> None:
    due = current_job.get().scheduled_fire_time
    pen().note(time.time() - due.timestamp())


def fires(url: str, jobs: int, seconds: float) -> Figures:
    """See `bench.contenders.duly.fires`."""
    return asyncio.run(_fires(url, jobs, seconds))


async def _fires(url: str, jobs: int, seconds: float) -> Figures:
    engine = create_async_engine(url.replace("+psycopg", "+asyncpg"))
    broker = AsyncpgEventBroker.from_async_sqla_engine(engine)
    with open_ledger() as ledger:
        async with AsyncScheduler(SQLAlchemyDataStore(engine), broker) as scheduler:
            await scheduler.configure_task("late", func=late)
            lead = 2 + jobs / ADDED_PER_SECOND
            start = datetime.fromtimestamp(int(time.time() + lead) + 1, UTC)
            for n in range(jobs):
                phase = start + timedelta(seconds=n / jobs)
                trigger = IntervalTrigger(seconds=1, start_time=phase)
                await scheduler.add_schedule("late", trigger, id=f"job-{n}")
            await scheduler.start_in_background()
            await asyncio.sleep(max(0, start.timestamp() + SETTLE - time.time()))
            with Window(ledger) as window:
                await asyncio.sleep(seconds)
            await scheduler.stop()
    await engine.dispose()
    return window.figures
