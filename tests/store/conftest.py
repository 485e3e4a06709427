"""One contract for all databases: every test of this folder runs on each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

import pytest
from sqlalchemy import Row, inspect, select, text

from duly.clock import VirtualClock
from duly.model.identity import new_id
from duly.model.policy import JobOptions
from duly.store import jobs, runs, tables
from duly.store.dialect import Choice, Mark
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, new_run
from duly.triggers import encode, every

T = TypeVar("T")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def open_store(clock: VirtualClock) -> Iterator[Callable[[str], Store]]:
    """Opens stores as separate processes would; closes them after the test."""
    opened: list[Store] = []

    def open_one(url: str) -> Store:
        opened.append(Store(url, clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.dispose()


@pytest.fixture
def store(prepared_database_url: str, open_store: Callable[[str], Store]) -> Store:
    """A store with its tables made and nothing in them."""
    return open_store(prepared_database_url)


def add_run(tx: Transaction, *, now: datetime | None = None, **values: Any) -> str:
    """Store a run; ``values`` overwrite the columns of a ready one."""
    now = now or tx.now
    origin = Origin(
        "schedule",
        job_id=values.pop("job_id", None),
        job_uid=values.pop("job_uid", None),
        scheduled_for=values.pop("scheduled_for", None),
    )
    row = new_run(
        tx.run_id(), origin, task="work", args="{}", options=JobOptions(), now=now, due_at=now
    )  # fmt: skip
    runs.add(tx, [row | values])
    return str(row["id"])


def add_job(tx: Transaction, job_id: str, **values: Any) -> Any:
    """Store a job that fires every ten seconds, first in ten; ``values`` overwrite columns."""
    trigger = every(seconds=10, anchor=tx.now)
    row = {
        "id": job_id, "uid": new_id(), "app": "app", "task": "work", "args": "{}",
        "trigger": encode(trigger), "options": None, "queue": "default", "state": "active",
        "next_fire_at": trigger.next_after(tx.now), "origin": "api", "declared": None,
        "revision": 1, "tzdb": "2026a", "created_at": tx.now, "updated_at": tx.now,
    } | values  # fmt: skip
    assert jobs.add_many(tx, [row], {job_id: ()}) == set()
    held = jobs.find(tx.conn, job_id)
    assert held is not None
    return held


def claim(
    tx: Transaction,
    *,
    limit: int = 10,
    tasks: tuple[str, ...] = ("work",),
    marks: Sequence[Mark] = (),
    **values: Any,
) -> list[Row[Any]]:
    """Claim ready runs of the default queue for a worker."""
    wanted = {
        "claim_queue": "default", "now": tx.now, "tasks": list(tasks), "limit": limit,
        "claim": new_id(), "worker": new_id(),
    } | values  # fmt: skip
    taken = [row.id for row in tx.dialect.claim(tx.conn, wanted, Choice.PLAIN, marks)]
    whole = select(tables.run).where(tables.run.c.id.in_(taken))
    held = {row.id: row for row in tx.conn.execute(whole)}
    return [held[run_id] for run_id in taken]


def all_runs(store: Store) -> dict[str, Row[Any]]:
    """Every run as it is stored now, by id."""
    with store.read() as conn:
        return {row.id: row for row in conn.execute(select(tables.run))}


def count(store: Store, table: Any) -> int:
    """How many rows a table has."""
    with store.read() as conn:
        return len(conn.execute(select(table)).all())


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that the database has, Duly's or not."""
    with store.engine.connect() as conn:
        quote = conn.dialect.identifier_preparer.quote
        return {
            name: sorted(map(tuple, conn.execute(text(f"select * from {quote(name)}"))), key=repr)
            for name in sorted(inspect(conn).get_table_names())
        }


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Start all calls at one moment, each in a thread; returns their answers in order.

    Raises:
        BaseException: the first one that a call raised.
    """
    gate = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)
    problems: list[BaseException] = []

    def run(index: int, call: Callable[[], T]) -> None:
        gate.wait(30)
        try:
            answers[index] = call()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            problems.append(error)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive(), "a call never ended"
    if problems:
        raise problems[0]
    return answers
