"""A program that uses the calls as they are documented: no checker finds anything in it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import assert_type

import psycopg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session

from duly import (
    Actor,
    AttemptRecord,
    Backfill,
    BulkResult,
    CatchUp,
    Event,
    Finding,
    Health,
    JobDefaults,
    JobGroup,
    JobRecord,
    LogLine,
    MissedRange,
    Page,
    Retry,
    Run,
    RunRecord,
    Scheduler,
    Status,
    Step,
    Watch,
    WorkerRecord,
    before,
    cron,
    every,
    secret,
)
from duly.notify import check_webhook_url, send_webhook

scheduler = Scheduler(
    "sqlite:///app.db", timezone="Europe/Madrid", defaults=JobDefaults(retry=Retry(attempts=3))
)
START = datetime(2026, 1, 1, tzinfo=UTC)


@scheduler.task(retry=Retry(attempts=3, wait=30), timeout=120, on_crash="fail")
def send(order: int, text: str = "") -> str:
    return f"{order} {text}"


@scheduler.task("fetch", retry=5, expires=timedelta(minutes=5))
async def fetch(run: Run, url: str) -> int:
    run.count(fetched=1)
    return len(url)


@scheduler.task()
def remind(exchange_id: int, days_before: int, run: Run) -> dict[str, int]:
    return {"attempt": run.attempt}


@scheduler.task(transactional=True)
def charge(session: Session, amount: int) -> None: ...


@scheduler.task(transactional=True)
async def refund(amount: int, session: AsyncSession) -> None: ...


@scheduler.job(
    cron("*/10 * * * *"), id="check", misfire_grace=30, overlap="skip", catch_up="latest"
)
async def check(run: Run) -> dict[str, int]:
    return {"expired": 3}


@scheduler.job(after=["check"], on="failure", queue="slow", watch=3600)
@scheduler.task()
def tidy(days: int = 30) -> None: ...


@scheduler.job(every(hours=1), catch_up=CatchUp("all"), watch=Watch(late_after=60), args={"n": 1})
def count(n: int) -> int:
    return n


jobs = JobGroup(queue="billing", tags=["billing"], misfire_grace=60)


@jobs.task(retry=3)
def bill(order: int, text: str = "") -> str:
    return f"{order} {text}"


@jobs.job(every(hours=1), id="collect", overlap="queue", at_start=True, paused="not yet")
@jobs.task()
async def collect(run: Run, since: int) -> int:
    return since


@asynccontextmanager
async def pool() -> AsyncIterator[int]:
    yield 3


Scheduler("sqlite:///app.db", resources=pool).include(jobs, JobGroup())


def call_group() -> None:
    assert_type(bill(7), str)
    assert_type(bill.enqueue(7, text="hello"), str)
    assert_type(collect.enqueue(since=3), str)
    assert_type(scheduler.enqueue(bill, order=7), str)


def call(session: Session, scoped: scoped_session[Session], connection: Connection) -> None:
    assert_type(send(7), str)
    assert_type(send.enqueue(7, text="hello"), str)
    assert_type(scheduler.enqueue(send, order=7, text="hello"), str)
    scheduler.enqueue(send, 7)
    scheduler.enqueue(send, 7, text="hello", delay=5)
    send.enqueue(7, priority=3)
    scheduler.enqueue(send, args={"order": 7}, delay=5, unique_key="7", unique="until_done")
    scheduler.enqueue(send, order=7, delay=timedelta(seconds=5), priority=-1, session=session)
    scheduler.enqueue(send, order=7, at=START, session=scoped)
    scheduler.enqueue(send, order=7, session=connection, actor="ana")
    scheduler.enqueue("send", order=7)
    scheduler.enqueue(fetch, url="https://example.org")
    scheduler.enqueue(remind, exchange_id=7, days_before=3)
    scheduler.enqueue(charge, amount=3)
    scheduler.enqueue(refund, amount=3)
    send.enqueue(order=7, delay=3, queue="slow")
    fetch.enqueue(url="https://example.org")
    scheduler.enqueue_many(send, [{"order": 7}, {"order": 8}], unique_keys=["7", None])
    scheduler.enqueue(send, order=7, expires=60)
    scheduler.enqueue(send, order=7, retry=Retry(attempts=2))
    scheduler.enqueue(send, order=7, timeout=timedelta(seconds=5), retry=1, expires=60)
    scheduler.enqueue(send, order=7, owner="acme")
    send.enqueue(order=7, owner="acme", actor=Actor("ana", reason="why"))
    send.enqueue(order=7, timeout=5)
    scheduler.enqueue(send, args={"order": 7}, expires=60, retry={"attempts": 2}, timeout=5)
    scheduler.enqueue_many(send, [{"order": 7}], expires=60, retry=3, timeout=5)
    add = scheduler.add(send, every(minutes=5), id="j", args={"order": 7}, tags=["a"], replace=True)
    assert_type(add, JobRecord)
    scheduler.add("send", cron("0 9 * * *"), overlap="queue", max_running=2, session=session)
    scheduler.pause("send", session=sqlite3.connect("app.db"))
    scheduler.pause("send", session=psycopg.connect("dbname=app"))
    scheduler.add_many([{"task": send, "trigger": every(hours=1)}])
    scheduler.add(send, before(START, days=7, tz="Europe/Madrid"), args={"order": 7})
    assert_type(before(START, days=7, at="09:00", tz="Europe/Madrid").instant, datetime)


def query(run_id: str) -> None:
    assert_type(scheduler.job("check"), JobRecord)
    assert_type(scheduler.jobs(state="paused"), Page[JobRecord])
    assert_type(scheduler.runs(state=["failed", "missed"]), Page[RunRecord])
    assert_type(scheduler.run_now("check", wait=10), RunRecord)
    assert_type(scheduler.attempts(run_id), list[AttemptRecord])
    assert_type(scheduler.run_log(run_id), list[LogLine])
    assert_type(scheduler.missed("check"), list[MissedRange])
    assert_type(scheduler.workers(), list[WorkerRecord])
    assert_type(scheduler.status(), Status)
    assert_type(scheduler.health(), Health)
    assert_type(scheduler.examine(), list[Finding])
    assert_type(scheduler.run_due(), Step)
    assert_type(scheduler.backfill("check", START, START, dry_run=True), Backfill)
    assert_type(scheduler.edit("check", trigger=every(hours=2), retry=None), JobRecord)
    assert_type(scheduler.pause(tag="a", reason="holidays"), int)
    assert_type(scheduler.next_fires("check"), list[datetime])
    scheduler.on("run.failed", show)
    check_webhook_url("https://example.com")
    key = secret("KEY")
    assert_type(send_webhook("https://example.com", {}, id="1", secret=key, ports={8443}), int)
    with scheduler.running():
        pass


def show(event: Event) -> None: ...


async def call_async(session: AsyncSession, ids: Sequence[str]) -> None:
    assert_type(await fetch(run_of(), "https://example.org"), int)
    assert_type(await scheduler.aio.enqueue(send, order=7), str)
    await scheduler.aio.enqueue(send, order=7, session=session)
    assert_type(await send.aio.enqueue(7, text="hello"), str)
    await send.aio.enqueue(order=7, delay=3, session=session)
    await send.aio.enqueue(args={"order": 7}, retry=2)
    await fetch.aio.enqueue(url="https://example.org")
    await scheduler.aio.enqueue(fetch, url="https://example.org")
    await scheduler.aio.enqueue(fetch, url=secret("URL"))
    assert_type(await scheduler.aio.retry_runs(task=send, error_type="KeyError"), BulkResult)
    assert_type(await scheduler.aio.pause(tag="billing", dry_run=True), int)
    await scheduler.aio.enqueue(remind, exchange_id=7, days_before=3)
    await scheduler.aio.add(send, every(hours=1), args={"order": 7}, overlap="allow")
    assert_type(await scheduler.aio.job("check"), JobRecord)
    assert_type(await scheduler.aio.runs(job="check", state="failed"), Page[RunRecord])
    assert_type(await scheduler.aio.status(), Status)
    assert_type([await scheduler.aio.retry(run_id) for run_id in ids], list[RunRecord])
    await scheduler.aio.start()
    await scheduler.aio.stop(grace=5)


def run_of() -> Run:
    raise NotImplementedError
