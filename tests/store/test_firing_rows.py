"""Cursors and nominal times: the two guards that make a decision unique."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine

from duly.clock import VirtualClock
from duly.errors import StoreError
from duly.model.identity import new_id, run_ids
from duly.store import history, jobs, runs, tables
from duly.store.jobs import Cursor
from duly.store.store import Store
from duly.store.transaction import Transaction
from tests.store.conftest import add_job, add_run, all_runs, at_once, count

TEN = timedelta(seconds=10)


def advanced(row: Any, **values: Any) -> Cursor:
    """Return a job's cursor advanced by one time, as firing advances it."""
    seen = row.next_fire_at
    moved = Cursor(row.id, seen, row.revision, seen + TEN, seen, row.fired_count + 1, "active")
    return moved._replace(**values)


def find(store: Store, job_id: str) -> Any:
    with store.read() as conn:
        return jobs.find(conn, job_id)


# --------------------------------------------------------------------------------- cursors


def test_a_current_cursor_is_advanced(store: Store) -> None:
    """Next fire, last nominal time and count change together; the revision stays unchanged."""
    with store.write() as tx:
        row = add_job(tx, "j")
        assert jobs.advance(tx, [advanced(row)]) == set()
    stored = find(store, "j")
    assert (stored.next_fire_at, stored.last_nominal) == (row.next_fire_at + TEN, row.next_fire_at)
    assert (stored.fired_count, stored.revision) == (1, 1)


@pytest.mark.parametrize(
    "stale",
    [{"seen": VirtualClock().now()}, {"revision": 0}, {"job_id": "gone"}],
    ids=["cursor", "revision", "removed"],
)
def test_a_stale_cursor_loses_and_changes_nothing(store: Store, stale: dict[str, Any]) -> None:
    """If the job was fired, edited or removed meanwhile, its id is returned."""
    with store.write() as tx:
        row = add_job(tx, "j")
        attempt = advanced(row, **stale)
        assert jobs.advance(tx, [attempt]) == {attempt.job_id}
    assert find(store, "j") == row


def test_the_cursors_of_a_batch_are_compared_one_by_one(store: Store) -> None:
    """Only the stale cursors of a batch are lost; the others are advanced exactly once."""
    with store.write() as tx:
        rows = [add_job(tx, f"j{number:02}") for number in range(30)]
        wanted = [
            advanced(row, seen=row.next_fire_at - TEN) if number % 3 == 0 else advanced(row)
            for number, row in enumerate(rows)
        ]
        lost = jobs.advance(tx, wanted)
    assert lost == {row.id for number, row in enumerate(rows) if number % 3 == 0}
    for number, row in enumerate(rows):
        assert find(store, row.id).fired_count == (0 if number % 3 == 0 else 1)


def test_a_job_without_a_next_time_is_finished(store: Store) -> None:
    """Its last nominal time is stored."""
    with store.write() as tx:
        row = add_job(tx, "j")
        assert jobs.advance(tx, [advanced(row, next_fire_at=None, state="finished")]) == set()
    stored = find(store, "j")
    assert (stored.state, stored.next_fire_at, stored.last_nominal) == (
        "finished", None, row.next_fire_at,
    )  # fmt: skip


def test_racing_workers_decide_each_time_once(store: Store, clock: VirtualClock) -> None:
    """Four workers fire the same twenty due jobs repeatedly: each nominal time has one run."""
    with store.write() as tx:
        for number in range(20):
            add_job(tx, f"j{number:02}")
    clock.advance(35)

    def work() -> int:
        decided = 0
        for _ in range(6):
            with store.write() as tx:
                due = jobs.due(tx, 7)
                lost = jobs.advance(tx, [advanced(row) for row in due]) if due else set()
                for row in due:
                    if row.id not in lost:
                        decided += 1
                        add_run(tx, job_id=row.id, job_uid=row.uid, scheduled_for=row.next_fire_at)
        return decided

    at_once(*[work] * 4)
    while work():
        pass
    found = [(row.job_id, row.scheduled_for) for row in all_runs(store).values()]
    assert len(found) == len(set(found)) == 60
    assert all(find(store, f"j{number:02}").fired_count == 3 for number in range(20))


def test_due_jobs_are_read_oldest_first_up_to_the_limit(store: Store, clock: VirtualClock) -> None:
    """Only active jobs that are due are read, the earliest first."""
    with store.write() as tx:
        add_job(tx, "b", next_fire_at=tx.now)
        add_job(tx, "a", next_fire_at=tx.now)
        add_job(tx, "oldest", next_fire_at=tx.now - TEN)
        add_job(tx, "later", next_fire_at=tx.now + timedelta(microseconds=1))
        add_job(tx, "never", next_fire_at=None)
        for state in ("paused", "finished", "unresolved"):
            add_job(tx, state, state=state, next_fire_at=tx.now - TEN)
    with store.write() as tx:
        assert [row.id for row in jobs.due(tx, 10)] == ["oldest", "a", "b"]
        assert [row.id for row in jobs.due(tx, 2)] == ["oldest", "a"]


# --------------------------------------------------------------------------- nominal times


def test_a_nominal_time_has_one_run(store: Store, clock: VirtualClock) -> None:
    """A second run is skipped and the first stays unchanged; runs without a time are stored."""
    uid, nominal = new_id(), clock.now()
    with store.write() as tx:
        first = add_run(tx, job_id="j", job_uid=uid, scheduled_for=nominal)
        add_run(tx, job_id="j", job_uid=uid, scheduled_for=nominal, priority=9)
        add_run(tx, job_id="j", job_uid=uid, scheduled_for=nominal + timedelta(microseconds=1))
        add_run(tx, job_id="j", job_uid=new_id(), scheduled_for=nominal)
        for _ in range(3):
            add_run(tx, job_id="j", job_uid=uid)
    stored = all_runs(store)
    assert len(stored) == 6
    assert stored[first].priority == 0


def test_racing_writers_store_a_nominal_time_once(store: Store, clock: VirtualClock) -> None:
    """The unique index holds even if two workers read the same cursor."""
    uid = new_id()
    times = [clock.now() + number * TEN for number in range(40)]

    def write(ordered: list[Any]) -> None:
        for nominal in ordered:
            with store.write() as tx:
                add_run(tx, job_id="j", job_uid=uid, scheduled_for=nominal)

    at_once(*(lambda: write(times) for _ in range(2)), *(lambda: write(times[::-1]),) * 2)
    assert sorted(row.scheduled_for for row in all_runs(store).values()) == times


def test_racing_enqueues_with_one_key_make_one_run(store: Store) -> None:
    """The unique index decides, not a query before the insert."""

    def enqueue() -> str:
        with store.write() as tx:
            add_run(tx, unique_key="only", unique_scope="until_start")
            return runs.holders_of_keys(tx.conn, ["only"])["only"]

    assert len(set(at_once(*[enqueue] * 6))) == 1
    assert count(store, tables.run) == 1


@pytest.mark.parametrize("column", ["state", "job state"])
def test_a_state_that_does_not_exist_cannot_be_stored(store: Store, column: str) -> None:
    """The database itself refuses it."""

    def write() -> None:
        with store.write() as tx:
            if column == "state":
                runs.change(tx, [add_run(tx)], state="exploded")
            else:
                add_job(tx, "j", state="exploded")

    with pytest.raises(StoreError, match=r"duly_(run|job)_state"):
        write()


# -------------------------------------------------------------------------- missed ranges


def test_a_range_that_continues_another_extends_it(store: Store, clock: VirtualClock) -> None:
    """A long outage that several ticks decide is one record with exact ends and count."""
    uids, start = {"j": new_id(), "k": new_id()}, clock.now()

    def gap(first: int, last: int, *, follows: int | None, **other: str) -> dict[str, Any]:
        job_id = other.get("job_id", "j")
        return {
            "job_id": job_id, "job_uid": uids[job_id], "first": start + first * TEN,
            "last": start + last * TEN, "count": last - first + 1, "reason": "catch_up",
            "decided_at": start, "follows": None if follows is None else start + follows * TEN,
        } | other  # fmt: skip

    for batch in (
        [gap(1, 5, follows=None), gap(1, 3, follows=None, job_id="k")],
        [gap(6, 9, follows=5), gap(6, 7, follows=5, job_id="k")],
        [gap(20, 22, follows=19)],
        [gap(23, 24, follows=22, reason="another")],
    ):
        with store.write() as tx:
            history.add_ranges(tx, batch)

    def found(job_id: str) -> list[tuple[float, float, int]]:
        with store.read() as conn:
            rows = history.ranges(conn, job_id, 9)
        return [
            ((row.first - start) / TEN, (row.last - start) / TEN, row._mapping["count"])
            for row in rows
        ]

    assert found("j") == [(23, 24, 2), (20, 22, 3), (1, 9, 9)]
    assert found("k") == [(6, 7, 2), (1, 3, 3)]


def test_a_job_added_again_starts_its_own_ranges(store: Store, clock: VirtualClock) -> None:
    """A new job with the same id never extends a range of the removed one."""
    start = clock.now()
    row = {
        "job_id": "j", "first": start, "last": start + TEN, "count": 2, "reason": "x",
        "decided_at": start,
    }  # fmt: skip
    with store.write() as tx:
        history.add_ranges(tx, [row | {"job_uid": new_id(), "follows": None}])
    again = {"first": start + 2 * TEN, "last": start + 3 * TEN}
    with store.write() as tx:
        history.add_ranges(tx, [row | again | {"job_uid": new_id(), "follows": start + TEN}])
    assert count(store, tables.decision_range) == 2


# ---------------------------------------------------------------------- occupancy and slots


def test_occupancy_counts_unfinished_runs(store: Store) -> None:
    """It includes functions that still execute after their runs were ended, but no removed job."""
    uid = new_id()
    with store.write() as tx:
        for state in ("scheduled", "ready", "running"):
            add_run(tx, job_id="a", job_uid=uid, state=state)
        add_run(tx, job_id="a", job_uid=uid, state="scheduled", waits_for_slot=True)
        add_run(tx, job_id="a", job_uid=new_id(), state="running")
        for state in ("succeeded", "failed", "cancelled", "discarded", "missed", "skipped"):
            add_run(tx, job_id="a", job_uid=uid, state=state)
        executing = add_run(tx, job_id="a", job_uid=uid, state="failed")
        foreign = add_run(tx, job_id="d", state="failed")
        runs.change(tx, [executing, foreign], occupied=True)
        add_run(tx, job_id="c")
    with store.read() as conn:
        counts = runs.occupancy(conn, {"a": uid, "b": new_id()})
    assert (counts["a"].active, counts["a"].waiting) == (4, 1)
    assert (counts["b"].active, counts["b"].waiting) == (0, 0)
    with store.read() as conn:
        assert {row.job_id for row in runs.live_of_jobs(conn, ["a"])} == {"a"}


def test_scheduled_runs_are_promoted_when_they_are_due(store: Store, clock: VirtualClock) -> None:
    """The earliest are promoted first, up to the limit; those that wait for a slot are not."""
    with store.write() as tx:
        due = [add_run(tx, state="scheduled", due_at=tx.now + n * TEN) for n in range(4)]
        waits = add_run(tx, state="scheduled", due_at=tx.now, waits_for_slot=True)
    clock.advance(25)
    with store.write() as tx:
        assert runs.promote_due(tx, 2) == 2
    stored = all_runs(store)
    assert [stored[run_id].state for run_id in due] == ["ready", "ready", "scheduled", "scheduled"]
    with store.write() as tx:
        assert runs.promote_due(tx, 10) == 1
    assert all_runs(store)[waits].state == "scheduled"


def test_cursors_are_advanced_on_a_hosts_engine(prepared_mariadb_url: str) -> None:
    """Instants keep their microseconds, although the engine lacks Duly's type compilers."""
    store = Store(prepared_mariadb_url, VirtualClock())
    odd = VirtualClock().now() + timedelta(microseconds=1)
    with store.write() as tx:
        row = add_job(tx, "ä\t'j", next_fire_at=odd)
    engine = create_engine(store.url)
    with engine.begin() as conn:
        tx = Transaction(conn, store.dialect, odd, run_ids(store.clock))
        assert jobs.advance(tx, [advanced(row, next_fire_at=odd + TEN)]) == set()
    stored = find(store, row.id)
    assert (stored.next_fire_at, stored.last_nominal) == (odd + TEN, odd)
    engine.dispose()
    store.dispose()
