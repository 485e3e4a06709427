"""Claims take runs in order and within the limit, and each run is claimed once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from duly.clock import VirtualClock
from duly.model.identity import new_id
from duly.store import runs, tables
from duly.store.claims.query import claim_order
from duly.store.dialect import Mark
from duly.store.store import Store
from tests.store.conftest import add_run, all_runs, at_once, claim


def test_the_order_is_priority_then_due_time_then_age(store: Store, clock: VirtualClock) -> None:
    """Lower priorities come first, then earlier due times, then older runs."""
    with store.write() as tx:
        late = add_run(tx, priority=0, due_at=tx.now)
        older = add_run(tx, priority=0, due_at=tx.now - timedelta(seconds=5))
        newer = add_run(tx, priority=0, due_at=tx.now - timedelta(seconds=5))
        urgent = add_run(tx, priority=-1, due_at=tx.now)
        lazy = add_run(tx, priority=5, due_at=tx.now - timedelta(days=1))
    with store.write() as tx:
        assert [row.id for row in claim(tx)] == [urgent, older, newer, late, lazy]


def test_a_claim_takes_the_first_runs_up_to_its_limit(store: Store) -> None:
    """Exactly three of ten are claimed; the others stay ready for the next claims."""
    with store.write() as tx:
        ids = [add_run(tx) for _ in range(10)]
    for first in (0, 3, 6, 9):
        with store.write() as tx:
            assert [row.id for row in claim(tx, limit=3)] == ids[first : first + 3]
    with store.write() as tx:
        assert claim(tx, limit=3) == []


def test_a_claim_of_many_runs_keeps_the_order_and_the_limit(store: Store) -> None:
    """The first 120 of 130 runs are claimed by priority, although it takes several statements."""
    with store.write() as tx:
        ids = [add_run(tx, priority=number % 3) for number in range(130)]
    wanted = sorted(ids, key=lambda run_id: (ids.index(run_id) % 3, run_id))
    with store.write() as tx:
        assert [row.id for row in claim(tx, limit=120)] == wanted[:120]
    with store.write() as tx:
        assert [row.id for row in claim(tx, limit=120)] == wanted[120:]


def test_a_claim_starts_at_the_marks(store: Store) -> None:
    """Runs at or after the mark of their priority are claimed in the usual order.

    Priorities without a mark are scanned from their beginning.
    """
    with store.write() as tx:
        seconds = [timedelta(seconds=number) for number in range(6, 0, -1)]
        made = {
            (priority, number): add_run(tx, priority=priority, due_at=tx.now - second)
            for priority in (3, -2, 7, 0, -1)
            for number, second in enumerate(seconds)
        }
        twin = add_run(tx, priority=0, due_at=tx.now - seconds[2])
    stored = all_runs(store)
    marks = [Mark(at, stored[made[at, 2]].due_at, made[at, 2]) for at in (-1, 0, 3)]
    marks[1] = marks[1]._replace(id=twin)
    passed = {made[at, number] for at in (-1, 0, 3) for number in (0, 1)} | {made[0, 2]}
    order = sorted([*made.values(), twin], key=lambda run_id: claim_order(stored[run_id]))
    if store.dialect.keeps_dead:
        order = [run_id for run_id in order if run_id not in passed]
    for first, size in ((0, 8), (8, 9), (17, 99)):
        with store.write() as tx:
            claimed = [row.id for row in claim(tx, limit=size, marks=marks)]
            assert claimed == order[first : first + size]


def test_marks_hold_across_the_statements_of_one_claim(store: Store) -> None:
    """Later statements still start at the marks of the priorities that follow."""
    with store.write() as tx:
        urgent = [add_run(tx, priority=0) for _ in range(70)]
        lazy = [add_run(tx, priority=1) for _ in range(10)]
    stored = all_runs(store)
    marks = [Mark(row.priority, row.due_at, row.id) for row in (stored[urgent[5]], stored[lazy[4]])]
    first = (5, 4) if store.dialect.keeps_dead else (0, 0)
    with store.write() as tx:
        claimed = [row.id for row in claim(tx, limit=100, marks=marks)]
    assert claimed == urgent[first[0] :] + lazy[first[1] :]


def test_a_claim_writes_its_worker_time_and_token(store: Store, clock: VirtualClock) -> None:
    """Token and attempt rise by one; the id of the claim tells it from others after a failover."""
    with store.write() as tx:
        run_id = add_run(tx, token=41, attempt=2, cancel_requested=True)
    clock.advance(7)
    worker, claim_id = new_id(), new_id()
    with store.write() as tx:
        (row,) = claim(tx, worker=worker, claim=claim_id)
    assert row == all_runs(store)[run_id]
    assert (row.state, row.token, row.attempt, row.worker_id, row.claim_id) == (
        "running", 42, 3, worker, claim_id,
    )  # fmt: skip
    assert row.started_at == clock.now()
    assert row.cancel_requested is False


def test_only_ready_due_runs_of_known_tasks_in_the_queue_are_claimed(
    store: Store, clock: VirtualClock
) -> None:
    """Future runs, and those of other queues, states and tasks, stay unchanged."""
    with store.write() as tx:
        mine = add_run(tx)
        add_run(tx, due_at=tx.now + timedelta(microseconds=1))
        add_run(tx, queue="other")
        add_run(tx, task="unknown here")
        for state in ("scheduled", "running", "succeeded", "failed", "missed", "skipped"):
            add_run(tx, state=state)
    before = all_runs(store)
    with store.write() as tx:
        assert [row.id for row in claim(tx, limit=100)] == [mine]
    after = all_runs(store)
    del before[mine], after[mine]
    assert after == before


def test_a_worker_without_tasks_claims_nothing(store: Store) -> None:
    """An empty list of tasks is neither an error nor taken for all tasks."""
    with store.write() as tx:
        add_run(tx)
        assert claim(tx, tasks=()) == []


def test_a_worker_may_know_many_tasks(store: Store) -> None:
    """An application with two thousand tasks can claim runs."""
    with store.write() as tx:
        run_id = add_run(tx)
        tasks = ("work", *(f"task {number}" for number in range(2000)))
        assert [row.id for row in claim(tx, tasks=tasks)] == [run_id]


def test_runs_of_unknown_tasks_do_not_block_known_ones(store: Store) -> None:
    """During a deployment, runs after a hundred runs of a new task are claimed."""
    with store.write() as tx:
        for _ in range(100):
            add_run(tx, task="new", priority=-5)
        mine = add_run(tx)
    with store.write() as tx:
        assert [row.id for row in claim(tx, limit=1)] == [mine]


def test_a_claim_releases_a_unique_key_until_start(store: Store) -> None:
    """A key with ``until_start`` is released by the claim; one with ``until_done`` is kept."""
    with store.write() as tx:
        start = add_run(tx, unique_key="a", unique_scope="until_start")
        done = add_run(tx, unique_key="b", unique_scope="until_done")
        claim(tx)
        assert runs.holders_of_keys(tx.conn, ["a", "b"]) == {"b": done}
    assert all_runs(store)[start].unique_key is None


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_racing_claimers_never_get_the_same_run(store: Store, limit: int) -> None:
    """Six workers empty one queue: each run is claimed once, and no claim exceeds its limit."""
    with store.write() as tx:
        ids = {add_run(tx) for _ in range(120)}

    def work() -> list[list[Any]]:
        worker = new_id()
        claimed: list[list[Any]] = []
        while True:
            with store.write() as tx:
                found = claim(tx, limit=limit, worker=worker)
            if not found:
                return claimed
            claimed.append(found)

    results = at_once(*[work] * 6)
    claims = [found for claimed in results for found in claimed]
    assert all(len(found) <= limit for found in claims)
    assert sorted(row.id for found in claims for row in found) == sorted(ids)
    stored = all_runs(store)
    for found in claims:
        for row in found:
            assert (stored[row.id].claim_id, stored[row.id].token) == (row.claim_id, 1)


def test_a_claim_that_is_rolled_back_has_no_effect(store: Store) -> None:
    """If the worker dies before its commit, the run stays ready with its old token."""
    with store.write() as tx:
        run_id = add_run(tx)
    before = all_runs(store)

    def die() -> None:
        with store.write() as tx:
            assert claim(tx)
            raise RuntimeError("died")

    with pytest.raises(RuntimeError, match="died"):
        die()
    assert all_runs(store) == before
    with store.write() as tx:
        assert [row.id for row in claim(tx)] == [run_id]


def test_a_locked_run_is_skipped(prepared_postgresql_url: str, open_store: Any) -> None:
    """On PostgreSQL, another transaction's lock on a ready run does not block the queue."""
    store, other = open_store(prepared_postgresql_url), open_store(prepared_postgresql_url)
    with store.write() as tx:
        locked, free = add_run(tx), add_run(tx)
    with other.write() as theirs:
        theirs.conn.execute(
            update(tables.run).where(tables.run.c.id == locked).values(reason="looked at")
        )
        with store.write() as tx:
            assert [row.id for row in claim(tx)] == [free]
    with store.write() as tx:
        assert [row.id for row in claim(tx)] == [locked]
