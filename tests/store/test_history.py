"""History is kept as long as promised, and deleted completely and in small steps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select

from duly.clock import VirtualClock
from duly.model.identity import new_id
from duly.store import completions, history, tables
from duly.store.history import EventFilter
from duly.store.store import Store
from duly.worker.pruning import prune
from tests.store.conftest import add_job, add_run, all_runs, at_once, count

DAY = timedelta(days=1)


def add_past(store: Store, keep_until: datetime | None, **values: Any) -> str:
    """Store a finished run with an attempt and two log lines."""
    with store.write() as tx:
        run_id = add_run(tx, state="failed", keep_until=keep_until, finished_at=tx.now, **values)
        attempt = {
            "run_id": run_id, "attempt": 1, "worker_id": None, "started_at": tx.now,
            "finished_at": tx.now, "error_type": "E", "error_message": "m", "traceback": None,
        }  # fmt: skip
        tx.insert_new(tables.attempt, [attempt])
        line = {"run_id": run_id, "at": tx.now, "level": "INFO", "logger": "l", "message": "m"}
        completions.add_log(tx.conn, [line, line])
    return run_id


def test_an_expired_run_is_deleted_with_its_attempts_and_log(
    store: Store, clock: VirtualClock
) -> None:
    """It is deleted at its instant, not a microsecond earlier; younger runs keep theirs."""
    now = clock.now()
    old, young = add_past(store, now + DAY), add_past(store, now + 2 * DAY)
    clock.set(now + DAY - timedelta(microseconds=1))
    with store.write() as tx:
        assert history.prune(tx, 100) == 0
    clock.advance(0.000001)
    with store.write() as tx:
        assert history.prune(tx, 100) == 1
    assert set(all_runs(store)) == {young}
    with store.read() as conn:
        assert history.attempts(conn, old) == []
        assert history.log_lines(conn, old) == []
        assert len(history.attempts(conn, young)) == 1
        assert len(history.log_lines(conn, young)) == 2


def test_unfinished_runs_are_never_deleted(store: Store, clock: VirtualClock) -> None:
    """Scheduled, ready and running runs do not expire."""
    with store.write() as tx:
        for state in ("scheduled", "ready", "running"):
            add_run(tx, state=state)
    clock.advance(days=10_000)
    with store.write() as tx:
        assert history.prune(tx, 100) == 0
    assert count(store, tables.run) == 3


def test_the_oldest_runs_are_deleted_first_in_small_steps(
    store: Store, clock: VirtualClock
) -> None:
    """A step deletes at most its limit, so that transactions stay short."""
    now = clock.now()
    ids = [add_past(store, now + number * timedelta(seconds=1)) for number in range(5)]
    clock.advance(days=1)
    with store.write() as tx:
        assert history.prune(tx, 2) == 2
    assert set(all_runs(store)) == set(ids[2:])
    with store.write() as tx:
        assert history.prune(tx, 100) == 3


def test_two_pruners_do_not_disturb_each_other(store: Store, clock: VirtualClock) -> None:
    """Together they delete every run once, and none of them fails."""
    for _ in range(30):
        add_past(store, clock.now())
    clock.advance(1)

    def work() -> int:
        deleted = 0
        for _ in range(10):
            deleted += store.run(lambda tx: history.prune(tx, 4))
        return deleted

    assert sum(at_once(work, work, work)) == 30
    assert count(store, tables.attempt) == count(store, tables.run_log) == 0


def test_events_are_kept_ninety_days(store: Store, clock: VirtualClock) -> None:
    """The audit trail is pruned by age alone, and ids are never reused."""
    with store.write() as tx:
        tx.record("job.added", job_id="a")
    clock.advance(days=89)
    with store.write() as tx:
        tx.record("job.added", job_id="b")
    clock.advance(days=1, seconds=1)
    with store.write() as tx:
        assert history.prune_events(tx, 100) == 1
    with store.read() as conn:
        (kept,) = history.events(conn, EventFilter())
    assert kept.job_id == "b"
    clock.advance(days=90)
    with store.write() as tx:
        assert history.prune_events(tx, 100) == 1
        tx.record("job.added", job_id="c")
    with store.read() as conn:
        (newest,) = history.events(conn, EventFilter(after=kept.id))
    assert newest.id > kept.id


def test_finished_jobs_are_deleted_after_90_days_unless_declared(
    store: Store, clock: VirtualClock
) -> None:
    """One-off jobs do not pile up; their tags are deleted with them."""
    with store.write() as tx:
        add_job(tx, "done", state="finished", next_fire_at=None)
        add_job(tx, "declared", state="finished", next_fire_at=None, origin="code")
        add_job(tx, "active")
        tx.conn.execute(insert(tables.job_tag), [{"tag": "t", "job_id": "done"}])
    clock.advance(days=89)
    with store.write() as tx:
        assert history.prune_jobs(tx, 100) == 0
    clock.advance(days=2)
    with store.write() as tx:
        assert history.prune_jobs(tx, 100) == 1
    with store.read() as conn:
        assert set(conn.execute(select(tables.job.c.id)).scalars()) == {"declared", "active"}
        assert conn.execute(select(tables.job_tag)).all() == []


def test_missed_ranges_are_deleted_after_90_days(store: Store, clock: VirtualClock) -> None:
    """Their age counts from the decision."""
    row = {
        "job_id": "j", "job_uid": new_id(), "first": clock.now(), "last": clock.now(), "count": 2,
        "reason": "x", "decided_at": clock.now(), "follows": None,
    }  # fmt: skip
    with store.write() as tx:
        history.add_ranges(tx, [row])
    clock.advance(days=89)
    prune(store)
    assert count(store, tables.decision_range) == 1
    clock.advance(days=2)
    prune(store)
    assert count(store, tables.decision_range) == 0
