"""Duly with a very large number of stored jobs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import median

from sqlalchemy import create_engine, insert, select

from bench.contenders.duly import CHUNK, add_all
from bench.support.figures import Figures, resident_mb
from duly import Scheduler, at, every, prepare_engine
from duly.model.identity import new_id
from duly.store import tables

ALONE, STEPS, PAGE = 200, 30, 100
HOUR = timedelta(hours=1)


def fill_many(url: str, count: int, added: int) -> Figures:
    """Store jobs that are due later: some are added in bulk and one by one, the rest are copied."""
    scheduler = _scheduler(url)
    scheduler.prepare()
    trigger = every(hours=1, anchor=datetime.now(UTC) + HOUR)
    alone = min(ALONE, added // 2)
    began = time.perf_counter()
    for n in range(alone):
        scheduler.add("nothing", trigger, id=f"alone-{n}")
    add = alone / (time.perf_counter() - began)
    began = time.perf_counter()
    add_all(scheduler, "nothing", [trigger] * (added - alone))
    bulk = (added - alone) / (time.perf_counter() - began)
    engine = prepare_engine(create_engine(url))
    with engine.connect() as conn:
        row = conn.execute(select(tables.job).limit(1)).mappings().one()
    for first in range(0, count - added, CHUNK):
        numbers = range(first, min(first + CHUNK, count - added))
        rows = [
            {
                **row,
                "id": f"copy-{n}",
                "uid": new_id(),
                "next_fire_at": row["next_fire_at"] + spread(n),
            }
            for n in numbers
        ]
        with engine.begin() as conn:
            conn.execute(insert(tables.job), rows)
    return {"add": add, "bulk": bulk}


def spread(number: int) -> timedelta:
    """Return an offset, so that not all jobs fire at the same instant."""
    return timedelta(seconds=number % 3600, microseconds=number)


def hold_many(url: str) -> Figures:
    """Measure a start beside the stored jobs, a step with one due, a page, and the memory."""
    scheduler = _scheduler(url)
    began = time.perf_counter()
    scheduler.start()
    while scheduler.health().last_tick_age is None:
        time.sleep(0.001)
    start = time.perf_counter() - began
    scheduler.stop()
    scheduler.tick()
    steps = []
    for _ in range(STEPS):
        scheduler.add("nothing", at(datetime.now(UTC)))
        began = time.perf_counter()
        scheduler.tick()
        steps.append((time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    scheduler.jobs(limit=PAGE)
    page = (time.perf_counter() - began) * 1000
    return {"start": start, "step": median(steps), "page": page, "memory": resident_mb()}


def _scheduler(url: str) -> Scheduler:
    scheduler = Scheduler(url)
    scheduler.task(name="nothing")(lambda: None)
    return scheduler
