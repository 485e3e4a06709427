"""Claiming: in order, within the limit, each run by one claimer only."""

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
    """Smaller priorities first; among equals what is due longer; among those the older run."""
    with store.write() as tx:
        late = add_run(tx, priority=0, due_at=tx.now)
        older = add_run(tx, priority=0, due_at=tx.now - timedelta(seconds=5))
        newer = add_run(tx, priority=0, due_at=tx.now - timedelta(seconds=5))
        urgent = add_run(tx, priority=-1, due_at=tx.now)
        lazy = add_run(tx, priority=5, due_at=tx.now - timedelta(days=1))
    with store.write() as tx:
        assert [row.id for row in claim(tx)] == [urgent, older, newer, late, lazy]


def test_the_limit_takes_the_first_ones_and_leaves_the_rest(store: Store) -> None:
    """Three of ten, exactly; the rest stays ready and comes next."""
    with store.write() as tx:
        ids = [add_run(tx) for _ in range(10)]
    for first in (0, 3, 6, 9):
        with store.write() as tx:
            assert [row.id for row in claim(tx, limit=3)] == ids[first : first + 3]
    with store.write() as tx:
        assert claim(tx, limit=3) == []


def test_a_claim_of_many_is_in_one_order_and_exact(store: Store) -> None:
    """More than one statement's worth, of several priorities: the first 120 of 130, in order."""
    with store.write() as tx:
        ids = [add_run(tx, priority=number % 3) for number in range(130)]
    wanted = sorted(ids, key=lambda held: (ids.index(held) % 3, held))
    with store.write() as tx:
        assert [row.id for row in claim(tx, limit=120)] == wanted[:120]
    with store.write() as tx:
        assert [row.id for row in claim(tx, limit=120)] == wanted[120:]


def test_marks_are_places_in_the_claim_order(store: Store) -> None:
    """One for each priority, to the run: what lies behind them is claimed in the same order.

    Priorities without a mark, before, between and behind the others, are walked whole.
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
    order = sorted([*made.values(), twin], key=lambda held: claim_order(stored[held]))
    if store.dialect.keeps_dead:
        order = [held for held in order if held not in passed]
    for first, size in ((0, 8), (8, 9), (17, 99)):
        with store.write() as tx:
            got = [row.id for row in claim(tx, limit=size, marks=marks)]
            assert got == order[first : first + size]


def test_many_claimed_at_once_begin_at_their_marks(store: Store) -> None:
    """From one statement to the next the marks of the priorities behind still hold."""
    with store.write() as tx:
        urgent = [add_run(tx, priority=0) for _ in range(70)]
        lazy = [add_run(tx, priority=1) for _ in range(10)]
    stored = all_runs(store)
    marks = [Mark(row.priority, row.due_at, row.id) for row in (stored[urgent[5]], stored[lazy[4]])]
    first = (5, 4) if store.dialect.keeps_dead else (0, 0)
    with store.write() as tx:
        got = [row.id for row in claim(tx, limit=100, marks=marks)]
    assert got == urgent[first[0] :] + lazy[first[1] :]


def test_a_claim_writes_who_and_when_and_a_higher_token(store: Store, clock: VirtualClock) -> None:
    """Token and attempt rise by one; the claim's own id makes it another's after a failover."""
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


def test_only_what_is_ready_due_known_and_in_the_queue_is_claimed(
    store: Store, clock: VirtualClock
) -> None:
    """Future runs, other queues, other states and unknown tasks are left as they are."""
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
    """An empty list of known tasks is no error, and no "everything" either."""
    with store.write() as tx:
        add_run(tx)
        assert claim(tx, tasks=()) == []


def test_many_tasks_are_no_problem(store: Store) -> None:
    """An application with two thousand tasks claims as one with three."""
    with store.write() as tx:
        run_id = add_run(tx)
        tasks = ("work", *(f"task {number}" for number in range(2000)))
        assert [row.id for row in claim(tx, tasks=tasks)] == [run_id]


def test_unknown_tasks_in_front_do_not_hide_known_ones(store: Store) -> None:
    """During a deploy a hundred runs of a new task wait: old work goes on behind them."""
    with store.write() as tx:
        for _ in range(100):
            add_run(tx, task="new", priority=-5)
        mine = add_run(tx)
    with store.write() as tx:
        assert [row.id for row in claim(tx, limit=1)] == [mine]


def test_a_unique_key_is_freed_at_the_start_or_kept_to_the_end(store: Store) -> None:
    """``until_start`` lets go when claimed, ``until_done`` does not."""
    with store.write() as tx:
        start = add_run(tx, unique_key="a", unique_scope="until_start")
        done = add_run(tx, unique_key="b", unique_scope="until_done")
        claim(tx)
        assert runs.holders_of_keys(tx.conn, ["a", "b"]) == {"b": done}
    assert all_runs(store)[start].unique_key is None


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_racing_claimers_never_get_the_same_run(store: Store, limit: int) -> None:
    """Six workers empty one queue: every run goes to exactly one, no claim exceeds its limit."""
    with store.write() as tx:
        ids = {add_run(tx) for _ in range(120)}

    def work() -> list[list[Any]]:
        worker = new_id()
        got: list[list[Any]] = []
        while True:
            with store.write() as tx:
                found = claim(tx, limit=limit, worker=worker)
            if not found:
                return got
            got.append(found)

    answers = at_once(*[work] * 6)
    claims = [found for got in answers for found in got]
    assert all(len(found) <= limit for found in claims)
    assert sorted(row.id for found in claims for row in found) == sorted(ids)
    stored = all_runs(store)
    for found in claims:
        for row in found:
            assert (stored[row.id].claim_id, stored[row.id].token) == (row.claim_id, 1)


def test_a_claim_that_is_rolled_back_was_never_made(store: Store) -> None:
    """The worker died before its commit: the run is ready with its old token."""
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


def test_a_locked_run_is_passed_over_not_waited_for(
    prepared_postgresql_url: str, open_store: Any
) -> None:
    """PostgreSQL: somebody who holds a ready run's row for a minute does not hold up the queue."""
    store, other = open_store(prepared_postgresql_url), open_store(prepared_postgresql_url)
    with store.write() as tx:
        held, free = add_run(tx), add_run(tx)
    with other.write() as theirs:
        theirs.conn.execute(
            update(tables.run).where(tables.run.c.id == held).values(reason="looked at")
        )
        with store.write() as tx:
            assert [row.id for row in claim(tx)] == [free]
    with store.write() as tx:
        assert [row.id for row in claim(tx)] == [held]
