"""APScheduler 3: in the background with ten threads on an SQL store, or on asyncio in memory."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_RUNNING
from apscheduler.util import datetime_to_utc_timestamp

from bench.support.figures import Figures, resident_mb
from bench.support.ledger import Ledger, open_ledger, pen
from bench.support.window import Window

SETTLE = 2.0
STEPS = 30


def late(phase: float) -> None:
    """Note how late it is; a fire that is a second late is missed, by its default settings."""
    pen().note((time.time() - phase) % 1.0)


async def late_in_memory(phase: float) -> None:
    late(phase)


def noop() -> None:
    pen().note()


def nothing() -> None:
    """Never called in time."""


def fires(url: str, jobs: int, seconds: float) -> Figures:
    """See `bench.contenders.duly.fires`; jobs are stored in bulk, in the store's own form."""
    with open_ledger() as ledger:
        if not url:
            return asyncio.run(_fires_in_memory(ledger, jobs, seconds))
        phases = _phases(jobs, 3 + jobs / 2000)
        _store(url, [(late, "interval", {"seconds": 1, "start_date": at}, at) for at in phases])
        scheduler = _scheduler(url)
        scheduler.start()
        time.sleep(max(0, phases[0].timestamp() + SETTLE - time.time()))
        with Window(ledger) as window:
            time.sleep(seconds)
        scheduler.shutdown(wait=False)
        return window.figures


async def _fires_in_memory(ledger: Ledger, jobs: int, seconds: float) -> Figures:
    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.start(paused=True)
    phases = _phases(jobs, 2 + jobs / 5000)
    for at in phases:
        args = (at.timestamp(),)
        scheduler.add_job(late_in_memory, "interval", seconds=1, start_date=at, args=args)
    scheduler.resume()
    await asyncio.sleep(max(0, phases[0].timestamp() + SETTLE - time.time()))
    with Window(ledger) as window:
        await asyncio.sleep(seconds)
    scheduler.shutdown(wait=False)
    return window.figures


def same_instant(url: str, jobs: int, seconds: float) -> Figures:
    """See `bench.contenders.duly.same_instant`."""
    with open_ledger() as ledger:
        when = datetime.now(UTC) + timedelta(seconds=4 + jobs / 2000)
        _store(url, [(noop, "date", {"run_date": when}, None)] * jobs)
        scheduler = _scheduler(url)
        scheduler.start()
        ledger.wait(jobs, when.timestamp() - time.time() + seconds)
        scheduler.shutdown(wait=False)
    done = max((noted for _value, noted in ledger.notes), default=float("nan"))
    return {"missed": jobs - len(ledger.notes), "seconds": done - when.timestamp()}


def fill_many(url: str, count: int, added: int) -> Figures:
    """See `bench.contenders.duly_store.fill_many`; it can only add one by one."""
    far = datetime.now(UTC) + timedelta(hours=1)
    scheduler = _scheduler(url)
    scheduler.start(paused=True)
    began = time.perf_counter()
    for _ in range(added):
        scheduler.add_job(nothing, "interval", seconds=3600, start_date=far)
    add = added / (time.perf_counter() - began)
    scheduler.shutdown(wait=False)
    hourly = {"seconds": 3600, "start_date": far}
    _store(url, [(nothing, "interval", hourly, None)] * (count - added))
    return {"add": add, "bulk": add}


def hold_many(url: str) -> Figures:
    """See `bench.contenders.duly_store.hold_many`; a page: it can only list all jobs."""
    began = time.perf_counter()
    scheduler = _scheduler(url)
    scheduler.start(paused=True)
    start = time.perf_counter() - began
    store = scheduler._jobstores["default"]
    scheduler.state = STATE_RUNNING
    job = scheduler.get_job("stored-0") or scheduler.get_jobs()[0]
    steps = []
    for _ in range(STEPS):
        job.next_run_time = datetime.now(UTC)
        store.update_job(job)
        began = time.perf_counter()
        scheduler._process_jobs()
        steps.append((time.perf_counter() - began) * 1000)
        time.sleep(0.02)
    memory = resident_mb()
    began = time.perf_counter()
    scheduler.get_jobs()
    page = (time.perf_counter() - began) * 1000
    scheduler.shutdown(wait=False)
    return {"start": start, "step": median(steps), "page": page, "memory": memory}


def _phases(jobs: int, lead: float) -> list[datetime]:
    start = datetime.fromtimestamp(int(time.time() + lead) + 1, UTC)
    return [start + timedelta(seconds=n / jobs) for n in range(jobs)]


def _scheduler(url: str) -> Any:
    return BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(url)},
        executors={"default": ThreadPoolExecutor(10)},
        timezone=UTC,
    )


def _store(url: str, adding: Iterable[tuple[Any, str, dict[str, Any], datetime | None]]) -> None:
    """Write jobs in one transaction, as the store itself would write each in one of its own."""
    maker = BackgroundScheduler(timezone=UTC)
    maker.start(paused=True)
    store = SQLAlchemyJobStore(url)
    store.start(maker, "default")
    rows = []
    for n, (function, trigger, options, phase) in enumerate(adding):
        args = () if phase is None else (phase.timestamp(),)
        job = maker.add_job(function, trigger, args=args, id=f"stored-{n}", **options)
        job._jobstore_alias = None
        at = datetime_to_utc_timestamp(job.next_run_time)
        state = pickle.dumps(job.__getstate__(), pickle.HIGHEST_PROTOCOL)
        rows.append({"id": job.id, "next_run_time": at, "job_state": state})
    with store.engine.begin() as conn:
        for first in range(0, len(rows), 1000):
            conn.execute(store.jobs_t.insert(), rows[first : first + 1000])
    store.engine.dispose()
    maker.shutdown(wait=False)
