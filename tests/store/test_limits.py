"""Claiming under limits: two claimers at one moment never exceed one, nor does one claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from duly.clock import VirtualClock
from duly.model.identity import new_id
from duly.store import limits, runs
from duly.store.claims.limited import Limited, claim_limited
from duly.store.store import Store
from duly.store.transaction import Transaction
from tests.store.conftest import add_run, all_runs, at_once


def claim(tx: Transaction, limit: int = 10, behind: str = "") -> Limited:
    """Claim from the default queue under its limits."""
    wanted = {
        "claim_queue": "default", "now": tx.now, "tasks": ["work"], "limit": limit,
        "claim": new_id(), "worker": new_id(),
    }  # fmt: skip
    return claim_limited(tx, wanted, behind)


def claim_once(store: Store, limit: int = 10) -> list[Any]:
    """The same in a transaction of its own."""
    with store.write() as tx:
        return list(claim(tx, limit).rows)


def running(store: Store) -> Counter[str | None]:
    """How many runs with each key run."""
    held = all_runs(store).values()
    return Counter(row.concurrency_key for row in held if row.state == "running")


@pytest.mark.parametrize("allowed", [1, 3])
def test_rule_13_racing_claimers_never_exceed_a_key(
    store: Store, open_store: Callable[[str], Store], allowed: int
) -> None:
    """Six claimers of ten runs each, at one moment, twenty times: no key has more than allowed."""
    url = store.url.render_as_string(hide_password=False)
    claimers = [open_store(url) for _ in range(6)]
    with store.write() as tx:
        for key in ("a", "b", "c"):
            limits.set_key(tx, key, allowed)
            for _ in range(60):
                add_run(tx, concurrency_key=key)
        for _ in range(60):
            add_run(tx)
    for _round in range(20):
        at_once(*[lambda one=one: claim_once(one) for one in claimers])
        held = running(store)
        assert max(held[key] for key in ("a", "b", "c")) <= allowed
        with store.write() as tx:
            over = [row.id for row in all_runs(store).values() if row.state == "running"]
            runs.change(tx, over, state="succeeded", keep_until=tx.now)
    assert sum(row.state == "succeeded" for row in all_runs(store).values()) >= 20 * allowed


def test_rule_13_racing_claimers_never_exceed_a_queue(
    store: Store, open_store: Callable[[str], Store]
) -> None:
    """max_running and the bucket hold against six claimers at one moment."""
    url = store.url.render_as_string(hide_password=False)
    claimers = [open_store(url) for _ in range(6)]
    with store.write() as tx:
        for _ in range(100):
            add_run(tx)
        limits.set_queue(tx, "default", max_running=7, rate=None, period=1)
    answers = at_once(*[lambda one=one: claim_once(one, 5) for one in claimers])
    assert sum(map(len, answers)) == 7
    with store.write() as tx:
        limits.set_queue(tx, "default", max_running=None, rate=11, period=60)
    answers = at_once(*[lambda one=one: claim_once(one, 5) for one in claimers])
    assert sum(map(len, answers)) == 11


def test_rule_13_one_claim_of_many_does_not_exceed_either(store: Store) -> None:
    """``LIMIT 10`` over ten runs with one key takes one."""
    with store.write() as tx:
        ids = [add_run(tx, concurrency_key="a") for _ in range(10)]
    assert [row.id for row in claim_once(store)] == [ids[0]]
    assert claim_once(store) == []
    with store.write() as tx:
        limits.set_key(tx, "a", 4)
    assert [row.id for row in claim_once(store)] == ids[1:4]


def test_a_claim_that_gets_nothing_writes_nothing(store: Store) -> None:
    """Blocked runs do not wake other processes by changing the database."""
    with store.write() as tx:
        add_run(tx, concurrency_key="a")
        add_run(tx, concurrency_key="a")
    claim_once(store)
    before = all_runs(store)
    with store.write() as tx:
        held = claim(tx)
        assert (held.rows, held.more, held.pause) == ([], False, None)
        if store.dialect.name == "sqlite":
            assert tx.conn.exec_driver_sql("select total_changes()").scalar_one() == _changes(tx)
    assert all_runs(store) == before


def _changes(tx: Transaction) -> int:
    claim(tx)
    held: int = tx.conn.exec_driver_sql("select total_changes()").scalar_one()
    return held


def test_the_bucket_fills_with_time_and_no_further_than_its_size(
    store: Store, clock: VirtualClock
) -> None:
    """Half a token is no token; an hour's silence saves no more than one rate."""
    with store.write() as tx:
        for _ in range(50):
            add_run(tx)
        limits.set_queue(tx, "default", max_running=None, rate=4, period=8)
    taken = []
    for seconds in (0, 1, 0.9, 0.1, 2, 3600):
        clock.advance(seconds)
        taken.append(len(claim_once(store)))
    assert taken == [4, 0, 0, 1, 1, 4]
    with store.write() as tx:
        held = claim(tx)
    assert held.pause == pytest.approx(2)
    clock.advance(timedelta(seconds=held.pause or 0).total_seconds())
    assert len(claim_once(store)) == 1


def test_a_key_without_known_tasks_holds_up_nobody(store: Store) -> None:
    """A run of another worker's task keeps neither its key nor other keys from being claimed."""
    with store.write() as tx:
        add_run(tx, concurrency_key="a", task="unknown here", priority=-9)
        mine = add_run(tx, concurrency_key="a")
    assert [row.id for row in claim_once(store)] == [mine]


def test_keys_are_looked_at_in_turns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """More keys than one look takes: each look begins behind the last, then anew."""
    with store.write() as tx:
        for number in range(700):
            add_run(tx, concurrency_key=f"k{number:03}")
    behind, got = "", list[str]()
    for _ in range(8):
        with store.write() as tx:
            held = claim(tx, 100, behind)
        behind = held.behind
        got += [row.id for row in held.rows]
    stored = all_runs(store)
    keys = [stored[run_id].concurrency_key for run_id in got]
    assert sorted(keys) == [f"k{number:03}" for number in range(700)]
