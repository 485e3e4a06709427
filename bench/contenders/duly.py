"""Duly, with default settings."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, event

from bench.support.contender import helpers
from bench.support.figures import Figures, at_share
from bench.support.ledger import open_ledger, pen
from bench.support.window import Window
from duly import Run, Scheduler, Trigger, at, every

ADDED_PER_SECOND = 1000
CHUNK = 1000
SETTLE = 2.0


def scheduler_on(url: str) -> Scheduler:
    """Return a scheduler with the measured tasks."""
    scheduler, note = Scheduler(url), pen().note
    scheduler.task(name="noop")(note)

    @scheduler.task(name="late")
    def late(run: Run) -> None:
        assert run.scheduled_for is not None
        note(time.time() - run.scheduled_for.timestamp())

    @scheduler.task(name="since")
    def since(sent: float) -> None:
        note(time.time() - sent)

    @scheduler.task(name="numbered")
    def numbered(number: int) -> None:
        note(number)

    scheduler.prepare()
    return scheduler


def fires(url: str, jobs: int, seconds: float) -> Figures:
    """Measure how many jobs fire and how late; each fires every second, spread evenly."""
    with open_ledger() as ledger:
        scheduler = scheduler_on(url)
        start = datetime.now(UTC) + timedelta(seconds=1 + jobs / ADDED_PER_SECOND)
        triggers = [
            every(seconds=1, anchor=start + timedelta(seconds=n / jobs)) for n in range(jobs)
        ]
        add_all(scheduler, "late", triggers, start=start)
        with scheduler.running():
            time.sleep(max(0, start.timestamp() + SETTLE - time.time()))
            with Window(ledger) as window:
                time.sleep(seconds)
    return window.figures


def same_instant(url: str, jobs: int, seconds: float) -> Figures:
    """Measure how many jobs of one instant are missed within ``seconds``, and how long all take."""
    with open_ledger() as ledger:
        scheduler = scheduler_on(url)
        when = datetime.now(UTC) + timedelta(seconds=3 + jobs / ADDED_PER_SECOND)
        add_all(scheduler, "noop", [at(when)] * jobs)
        with scheduler.running():
            ledger.wait(jobs, when.timestamp() - time.time() + seconds)
    done = max((noted for _value, noted in ledger.notes), default=float("nan"))
    return {"missed": jobs - len(ledger.notes), "seconds": done - when.timestamp()}


def drain(url: str, count: int, seconds: float) -> Figures:
    """Enqueue runs, one by one and in bulk; then drain them in this process."""
    with open_ledger() as ledger:
        scheduler = scheduler_on(url)
        alone = min(count // 2, 500)
        began = time.perf_counter()
        for _ in range(alone):
            scheduler.enqueue("noop")
        single = alone / (time.perf_counter() - began)
        began = time.perf_counter()
        _enqueue(scheduler, count - alone)
        bulk = (count - alone) / (time.perf_counter() - began)
        with scheduler.running():
            ledger.wait(count, seconds)
    return {"rate": ledger.per_second(), "done": len(ledger.notes), "single": single, "bulk": bulk}


def latency(url: str, count: int, pause: float, apart: bool) -> Figures:
    """Measure how soon after the call a run starts, in this process or in another one."""
    with open_ledger() as ledger:
        scheduler = scheduler_on(url)

        def call() -> None:
            scheduler.enqueue("since", sent=time.time())

        if apart:
            with helpers((":duly", "work", json.dumps({"url": url}))):
                ledger.send(call, count, pause)
        else:
            with scheduler.running():
                ledger.send(call, count, pause)
    return ledger.latencies()


def scale(url: str, count: int, workers: int, seconds: float) -> Figures:
    """Enqueue runs; then drain them with several processes."""
    with open_ledger() as ledger:
        scheduler = scheduler_on(url)
        _enqueue(scheduler, count, numbered=True)
        with helpers(*[(":duly", "work", json.dumps({"url": url}))] * workers):
            ledger.wait(count, seconds)
    return ledger.shared()


def work(url: str) -> Figures:
    """Run a worker until SIGTERM."""
    with scheduler_on(url).running():
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return {}


def churn(url: str, count: int, seconds: float) -> Figures:
    """Measure the first and the last claims while dead rows add up.

    The worker is stepped, so that nothing executes while a claim waits for its answer; otherwise
    its time would mostly be that of waiting for Python's lock.
    """
    taken: list[float] = []
    with open_ledger() as ledger:
        scheduler = scheduler_on(url)
        _time_claims(scheduler.store.engine, taken)
        until = time.monotonic() + seconds

        def work(done: int) -> None:
            while ledger.gather() < done and time.monotonic() < until:
                scheduler.tick()

        for sent in range(0, count, CHUNK):
            _enqueue(scheduler, min(CHUNK, count - sent))
            work(sent)  # about one chunk waits
        work(count)
        scheduler.stop()
    part = max(1, len(taken) // 10)
    return {
        "first": at_share(taken[:part], 0.99), "last": at_share(taken[-part:], 0.99),
        "p99": at_share(taken, 0.99), "claims": len(taken), "done": len(ledger.notes),
    }  # fmt: skip


def _time_claims(engine: Engine, taken: list[float]) -> None:
    began = [0.0]

    def is_claim(statement: str) -> bool:
        return statement.startswith("WITH ready") and "FOR UPDATE SKIP LOCKED" in statement

    @event.listens_for(engine, "before_cursor_execute")
    def before(conn, cursor, statement, *rest):  # type: ignore[no-untyped-def]
        if is_claim(statement):
            began[0] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def after(conn, cursor, statement, *rest):  # type: ignore[no-untyped-def]
        if is_claim(statement):
            taken.append((time.perf_counter() - began[0]) * 1000)


def _enqueue(scheduler: Scheduler, count: int, *, numbered: bool = False) -> None:
    """Enqueue many runs, a thousand per transaction."""
    for first in range(0, count, CHUNK):
        numbers = range(first, min(first + CHUNK, count))
        if numbered:
            scheduler.enqueue_many("numbered", [{"number": number} for number in numbers])
        else:
            scheduler.enqueue_many("noop", [{} for _ in numbers])


def add_all(scheduler: Scheduler, task: str, triggers: Sequence[Trigger], **options: Any) -> None:
    """Add many jobs, a thousand per transaction."""
    for first in range(0, len(triggers), CHUNK):
        scheduler.add_many(
            {"task": task, "trigger": trigger, "id": f"job-{first + n}", **options}
            for n, trigger in enumerate(triggers[first : first + CHUNK])
        )
