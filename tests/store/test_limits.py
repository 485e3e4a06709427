"""Claims never exceed a limit, neither alone nor when they race."""

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


def claim(tx: Transaction, limit: int = 10, last_key: str = "") -> Limited:
    """Claim from the default queue under its limits."""
    wanted = {
        "claim_queue": "default", "now": tx.now, "tasks": ["work"], "limit": limit,
        "claim": new_id(), "worker": new_id(),
    }  # fmt: skip
    return claim_limited(tx, wanted, last_key)


def claim_once(store: Store, limit: int = 10) -> list[Any]:
    """Claim in a transaction of its own, and return the claimed runs."""
    with store.write() as tx:
        return list(claim(tx, limit).rows)


def running(store: Store) -> Counter[str | None]:
    """Count the running runs, by key."""
    rows = all_runs(store).values()
    return Counter(row.concurrency_key for row in rows if row.state == "running")


@pytest.mark.parametrize("allowed", [1, 3])
def test_rule_13_racing_claimers_never_exceed_a_key(
    store: Store, open_store: Callable[[str], Store], allowed: int
) -> None:
    """Six racing claimers of ten runs each, twenty times: no key exceeds its limit."""
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
        counts = running(store)
        assert max(counts[key] for key in ("a", "b", "c")) <= allowed
        with store.write() as tx:
            ended = [row.id for row in all_runs(store).values() if row.state == "running"]
            runs.change(tx, ended, state="succeeded", keep_until=tx.now)
    assert sum(row.state == "succeeded" for row in all_runs(store).values()) >= 20 * allowed


def test_rule_13_racing_claimers_never_exceed_a_queue(
    store: Store, open_store: Callable[[str], Store]
) -> None:
    """Neither ``max_running`` nor the rate is exceeded by six racing claimers."""
    url = store.url.render_as_string(hide_password=False)
    claimers = [open_store(url) for _ in range(6)]
    with store.write() as tx:
        for _ in range(100):
            add_run(tx)
        limits.set_queue(tx, "default", max_running=7, rate=None, period=1)
    results = at_once(*[lambda one=one: claim_once(one, 5) for one in claimers])
    assert sum(map(len, results)) == 7
    with store.write() as tx:
        limits.set_queue(tx, "default", max_running=None, rate=11, period=60)
    results = at_once(*[lambda one=one: claim_once(one, 5) for one in claimers])
    assert sum(map(len, results)) == 11


def test_rule_13_one_claim_of_many_does_not_exceed_either(store: Store) -> None:
    """A claim of up to ten runs takes one of ten runs with the same key."""
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
        found = claim(tx)
        assert (found.rows, found.more, found.pause) == ([], False, None)
        if store.dialect.name == "sqlite":
            assert tx.conn.exec_driver_sql("select total_changes()").scalar_one() == _changes(tx)
    assert all_runs(store) == before


def _changes(tx: Transaction) -> int:
    claim(tx)
    changes: int = tx.conn.exec_driver_sql("select total_changes()").scalar_one()
    return changes


def test_the_bucket_refills_up_to_its_size(store: Store, clock: VirtualClock) -> None:
    """A part of a token allows no run; after an idle hour the bucket is full, but not fuller."""
    with store.write() as tx:
        for _ in range(50):
            add_run(tx)
        limits.set_queue(tx, "default", max_running=None, rate=4, period=8)
    claimed = []
    for seconds in (0, 1, 0.9, 0.1, 2, 3600):
        clock.advance(seconds)
        claimed.append(len(claim_once(store)))
    assert claimed == [4, 0, 0, 1, 1, 4]
    with store.write() as tx:
        found = claim(tx)
    assert found.pause == pytest.approx(2)
    clock.advance(timedelta(seconds=found.pause or 0).total_seconds())
    assert len(claim_once(store)) == 1


def test_a_run_of_an_unknown_task_does_not_block_its_key(store: Store) -> None:
    """Other runs with the same key are claimed, although it comes first."""
    with store.write() as tx:
        add_run(tx, concurrency_key="a", task="unknown here", priority=-9)
        mine = add_run(tx, concurrency_key="a")
    assert [row.id for row in claim_once(store)] == [mine]


def test_successive_claims_read_all_keys(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more keys than one claim reads, each claim continues after the last key."""
    with store.write() as tx:
        for number in range(700):
            add_run(tx, concurrency_key=f"k{number:03}")
    last_key, claimed = "", list[str]()
    for _ in range(8):
        with store.write() as tx:
            found = claim(tx, 100, last_key)
        last_key = found.last_key
        claimed += [row.id for row in found.rows]
    stored = all_runs(store)
    keys = [stored[run_id].concurrency_key for run_id in claimed]
    assert sorted(keys) == [f"k{number:03}" for number in range(700)]
