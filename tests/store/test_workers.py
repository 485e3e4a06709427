"""Worker rows: leases, and the locks between a claim and a rescue of the same worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from duly.clock import VirtualClock
from duly.model.identity import new_id
from duly.store import runs, tables, workers
from duly.store.store import Store
from duly.store.transaction import Transaction
from tests.store.conftest import add_run, all_runs, claim, count

MINUTE = timedelta(minutes=1)


def add_worker(tx: Transaction, **values: Any) -> str:
    row = {
        "id": new_id(), "app": "app", "host": "host", "pid": 1, "process": "p", "version": "0",
        "tzdb": "2026a", "queues": "{}", "started_at": tx.now, "beat_at": tx.now,
        "lease_until": tx.now + MINUTE,
    } | values  # fmt: skip
    workers.add(tx, row)
    return str(row["id"])


def test_a_beat_renews_the_lease_of_an_existing_row(store: Store, clock: VirtualClock) -> None:
    """A worker whose row was removed learns of it from its next beat."""
    with store.write() as tx:
        worker = add_worker(tx)
    clock.advance(30)
    with store.write() as tx:
        assert workers.beat(tx.conn, worker, tx.now, tx.now + MINUTE, draining=False)
        assert not workers.beat(tx.conn, new_id(), tx.now, tx.now + MINUTE, draining=False)
        (row,) = workers.all_rows(tx.conn)
    assert (row.beat_at, row.lease_until) == (clock.now(), clock.now() + MINUTE)


def test_a_worker_without_a_row_may_not_claim(store: Store) -> None:
    """On a server, neither may a worker whose lease has expired."""
    with store.write() as tx:
        assert not workers.lock(tx, new_id())
        assert workers.lock(tx, add_worker(tx))
        late = add_worker(tx, lease_until=tx.now)
        assert workers.lock(tx, late) is not store.dialect.leases_by_heartbeat


def test_only_a_worker_with_an_expired_lease_is_removed(store: Store, clock: VirtualClock) -> None:
    """The removing transaction checks the lease again, so a late beat saves its worker."""
    with store.write() as tx:
        worker = add_worker(tx)
    with store.write() as tx:
        assert not workers.remove(tx, worker, clock.now())
    clock.advance(60)
    with store.write() as tx:
        assert workers.remove(tx, worker, clock.now())
        assert not workers.remove(tx, worker, clock.now())
    assert count(store, tables.worker) == 0


def test_runs_without_a_worker_are_found(store: Store) -> None:
    """They are running runs whose worker has no row."""
    with store.write() as tx:
        for _ in range(3):
            add_run(tx)
        worker = add_worker(tx)
        (mine,) = claim(tx, limit=1, worker=worker)
        lost = {row.id for row in claim(tx, limit=5)}
    with store.write() as tx:
        assert {row.id for row in workers.orphans(tx, 10)} == lost
        assert len(workers.orphans(tx, 1)) == 1
        assert [row.id for row in workers.runs_of(tx, worker)] == [mine.id]


def test_a_worker_reads_the_cancel_requests_of_its_own_runs(store: Store) -> None:
    """Requests for runs of other workers are not returned."""
    with store.write() as tx:
        for _ in range(3):
            add_run(tx)
        worker = add_worker(tx)
        mine = claim(tx, limit=2, worker=worker)
        (other,) = claim(tx, limit=1)
        runs.change(tx, [mine[0].id, other.id], cancel_requested=True)
        assert workers.cancel_requests(tx.conn, worker) == [mine[0].id]


def test_a_claim_and_a_rescue_wait_for_each_other(
    prepared_postgresql_url: str, open_store: Callable[[str], Store]
) -> None:
    """Engine rule 1: a rescuer that removes a worker during its claim releases that run as well.

    Without the lock on the worker's row, the claim would give a run to a worker that has just been
    removed, and no rescuer would find it.
    """
    store, rescuer = open_store(prepared_postgresql_url), open_store(prepared_postgresql_url)
    with store.write() as tx:
        worker = add_worker(tx)
        run_id = add_run(tx)
    claimed, removed = threading.Event(), threading.Event()
    released: list[str] = []

    def rescue() -> None:
        claimed.wait(240)
        with rescuer.write() as tx:
            assert workers.remove(tx, worker, None)
            released.extend(row.id for row in workers.runs_of(tx, worker))
        removed.set()

    thread = threading.Thread(target=rescue)
    thread.start()
    with store.write() as tx:
        assert workers.lock(tx, worker)
        assert claim(tx, worker=worker)
        claimed.set()
        assert not removed.wait(0.3)
    assert removed.wait(240)
    thread.join()
    assert released == [run_id]
    with store.write() as tx:
        assert not workers.lock(tx, worker)


def test_two_claims_of_one_worker_do_not_wait_for_each_other(
    prepared_postgresql_url: str, open_store: Callable[[str], Store]
) -> None:
    """The lock on the worker's own row is shared."""
    store, other = open_store(prepared_postgresql_url), open_store(prepared_postgresql_url)
    with store.write() as tx:
        worker = add_worker(tx)
        add_run(tx)
    with store.write() as tx:
        assert workers.lock(tx, worker)
        with other.write() as second:
            assert workers.lock(second, worker)
            assert len(claim(second, worker=worker)) == 1
    assert {row.worker_id for row in all_runs(store).values()} == {worker}
