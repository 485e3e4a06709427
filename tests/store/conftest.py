"""Fixtures and helpers of the store's tests, most of which run on every database."""

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
    """Open stores as separate processes would, and close them after the test."""
    opened: list[Store] = []

    def open_one(url: str) -> Store:
        opened.append(Store(url, clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.dispose()


@pytest.fixture
def store(prepared_database_url: str, open_store: Callable[[str], Store]) -> Store:
    """A store with empty tables."""
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
    """Store a job that fires every ten seconds from now; ``values`` overwrite columns."""
    trigger = every(seconds=10, anchor=tx.now)
    row = {
        "id": job_id, "uid": new_id(), "app": "app", "task": "work", "args": "{}",
        "trigger": encode(trigger), "options": None, "queue": "default", "state": "active",
        "next_fire_at": trigger.next_after(tx.now), "origin": "api", "declared": None,
        "revision": 1, "tzdb": "2026a", "created_at": tx.now, "updated_at": tx.now,
    } | values  # fmt: skip
    assert jobs.add_many(tx, [row], {job_id: ()}) == set()
    stored = jobs.find(tx.conn, job_id)
    assert stored is not None
    return stored


def claim(
    tx: Transaction,
    *,
    limit: int = 10,
    tasks: tuple[str, ...] = ("work",),
    marks: Sequence[Mark] = (),
    **values: Any,
) -> list[Row[Any]]:
    """Claim ready runs of the default queue and return their whole rows."""
    wanted = {
        "claim_queue": "default", "now": tx.now, "tasks": list(tasks), "limit": limit,
        "claim": new_id(), "worker": new_id(),
    } | values  # fmt: skip
    claimed = [row.id for row in tx.dialect.claim(tx.conn, wanted, Choice.PLAIN, marks)]
    statement = select(tables.run).where(tables.run.c.id.in_(claimed))
    rows = {row.id: row for row in tx.conn.execute(statement)}
    return [rows[run_id] for run_id in claimed]


def all_runs(store: Store) -> dict[str, Row[Any]]:
    """Return all stored runs, by id."""
    with store.read() as conn:
        return {row.id: row for row in conn.execute(select(tables.run))}


def count(store: Store, table: Any) -> int:
    """Return the number of rows of a table."""
    with store.read() as conn:
        return len(conn.execute(select(table)).all())


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables in the database, including those that are not Duly's."""
    with store.engine.connect() as conn:
        quote = conn.dialect.identifier_preparer.quote
        return {
            name: sorted(map(tuple, conn.execute(text(f"select * from {quote(name)}"))), key=repr)
            for name in sorted(inspect(conn).get_table_names())
        }


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Start all calls at the same moment, each in a thread, and return their results in order.

    Raises:
        BaseException: the first exception that a call raised.
    """
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []

    def run(index: int, call: Callable[[], T]) -> None:
        barrier.wait(30)
        try:
            results[index] = call()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive(), "a call never ended"
    if errors:
        raise errors[0]
    return results
