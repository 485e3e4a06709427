"""Calls that concern thousands of jobs and runs: few statements, and short transactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, update

from duly import Scheduler, Trigger, any_of, calendar, dates, every, frequency, rrule
from duly.errors import JobInUse
from duly.model.policy import JobOptions
from duly.operations.jobs import binding
from duly.store import examination, jobs, runs, tables, totals
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, new_run, wait_for_slot
from duly.triggers import encode
from duly.worker.slot_waits import SlotWaits
from tests.worker.conftest import World

MANY = 2000


@dataclass
class Traffic:
    """The statements of each transaction that wrote something."""

    transactions: list[list[str]] = field(default_factory=list)

    @property
    def statements(self) -> int:
        return sum(map(len, self.transactions))


@contextmanager
def traffic_of(scheduler: Scheduler) -> Iterator[Traffic]:
    """Record what is sent to the database."""
    engine, traffic, current = scheduler.store.engine, Traffic(), list[str]()

    def statement(_conn: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        current.append(sql)

    def commit(_conn: Any) -> None:
        if any(not sql.startswith(("SELECT", "BEGIN", "SET", "PRAGMA")) for sql in current):
            traffic.transactions.append(current.copy())
        current.clear()

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    yield traffic
    event.remove(engine, "before_cursor_execute", statement)
    event.remove(engine, "commit", commit)


@pytest.fixture
def scheduler(world: World) -> Scheduler:
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda n=0: None)
    scheduler.prepare()
    return scheduler


def add_jobs(scheduler: Scheduler, number: int, **options: Any) -> list[dict[str, Any]]:
    """Store jobs with the tag ``t``, in one call."""
    wanted = [
        {
            "task": "work", "trigger": every(seconds=3600 + place), "id": f"j{place:05}",
            "tags": ["t"], **options,
        }
        for place in range(number)
    ]  # fmt: skip
    scheduler.add_many(wanted)
    return wanted


def add_runs(scheduler: Scheduler, job_id: str, number: int, *, waiting: bool = False) -> None:
    """Store runs of a job that have not started."""
    with scheduler.store.write() as tx:
        job = jobs.find(tx.conn, job_id)
        assert job is not None
        rows = [
            new_run(
                run_id, Origin("manual", None, job.id, job.uid), task="work", args="{}",
                options=JobOptions(), now=tx.now, due_at=tx.now,
            )
            for run_id in tx.run_ids(number)
        ]  # fmt: skip
        for row in rows if waiting else ():
            wait_for_slot(row)
        runs.add(tx, rows)


def test_E12_thousands_of_jobs_are_paused_and_resumed_together(scheduler: Scheduler) -> None:
    """The statements are few, and on SQLite no transaction holds more than some hundred jobs."""
    add_jobs(scheduler, MANY)
    for call in (scheduler.pause, scheduler.resume):
        with traffic_of(scheduler) as traffic:
            assert call(tag="t") == MANY
        assert traffic.statements < MANY / 10
        if not scheduler.store.dialect.many_writers:
            assert len(traffic.transactions) > 2
    assert scheduler.status().jobs == {"active": MANY}


def test_E12_a_job_with_thousands_of_waiting_runs_is_removed_in_steps(
    scheduler: Scheduler,
) -> None:
    """Its runs are cancelled in batches before it is removed; none is left."""
    add_jobs(scheduler, 1)
    add_runs(scheduler, "j00000", MANY)
    with traffic_of(scheduler) as traffic:
        assert scheduler.remove("j00000") == 1
    assert traffic.statements < MANY / 10
    assert len(traffic.transactions) > 2
    assert scheduler.status().live == {}
    assert len(scheduler.runs(state="cancelled", limit=1000)) == 1000


def test_E12_what_remove_refuses_it_has_not_begun(scheduler: Scheduler) -> None:
    """The runs of a job that others run after are not cancelled by a refused removal."""
    add_jobs(scheduler, 3)
    scheduler.add("work", after=["j00001"], id="child")
    add_runs(scheduler, "j00001", 200)
    with pytest.raises(JobInUse):
        scheduler.remove(tag="t")
    assert scheduler.status().live == {"ready": 200}
    assert len(scheduler.jobs()) == 4


def test_E12_related_jobs_are_removed_together(scheduler: Scheduler) -> None:
    """Parents and children with one tag are removed in one call."""
    add_jobs(scheduler, 300)
    scheduler.add("work", after=["j00001", "j00299"], id="child", tags=["t"])
    assert scheduler.remove(tag="t") == 301
    assert scheduler.jobs() == []


def test_E13_hundreds_of_waiting_jobs_cost_few_statements(scheduler: Scheduler) -> None:
    """A step asks for all jobs together, and frees their runs together."""
    add_jobs(scheduler, 300, overlap="queue")
    for place in range(300):
        with scheduler.store.write() as tx:
            job = jobs.find(tx.conn, f"j{place:05}")
            assert job is not None
            origin = Origin("manual", None, job.id, job.uid)
            first, second = (
                new_run(
                    run_id, origin, task="work", args="{}", options=JobOptions(), now=tx.now,
                    due_at=tx.now,
                )
                for run_id in tx.run_ids(2)
            )  # fmt: skip
            wait_for_slot(second)
            runs.add(tx, [first, second])
    seen: list[str] = []

    def statement(_conn: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        seen.append(sql)

    event.listen(scheduler.store.engine, "before_cursor_execute", statement)
    slot_waits = SlotWaits(scheduler.store)
    slot_waits.release()
    event.remove(scheduler.store.engine, "before_cursor_execute", statement)
    assert len([sql for sql in seen if sql.startswith("SELECT")]) == 3
    with scheduler.store.write() as tx:
        ready = [run.id for run in scheduler.runs(state="ready", limit=1000)]
        runs.change(tx, ready, job_id=None)  # as if they had ended
    with traffic_of(scheduler) as traffic:
        slot_waits.release()
    assert len(traffic.transactions) == (1 if scheduler.store.dialect.many_writers else 2)
    assert traffic.statements <= 8 * len(traffic.transactions)
    assert scheduler.status().live == {"ready": 600}


def test_E13_slots_go_to_the_next_runs_by_priority_and_age(scheduler: Scheduler) -> None:
    """Each job gets as many as it has free slots, whether that is one or several."""
    for name, slots in (("one", 1), ("three", 3)):
        scheduler.add("work", every(hours=1), id=name, overlap="queue", max_running=slots)
        add_runs(scheduler, name, 5, waiting=True)
    waiting = {
        name: [run.id for run in reversed(scheduler.runs(job=name))] for name in ("one", "three")
    }
    with scheduler.store.write() as tx:
        runs.change(tx, [waiting["one"][4], waiting["three"][3]], priority=-1)
    SlotWaits(scheduler.store).release()
    ready = {run.id for run in scheduler.runs(state="ready")}
    assert ready == {waiting["one"][4], waiting["three"][3], *waiting["three"][:2]}


def test_E13_a_run_of_a_removed_job_gets_a_slot_too(scheduler: Scheduler) -> None:
    """Such runs, which another transaction stored meanwhile, start one after the other."""
    add_jobs(scheduler, 2)
    add_runs(scheduler, "j00000", 2, waiting=True)
    with scheduler.store.write() as tx:
        jobs.remove(tx, ["j00000"])
    slot_waits = SlotWaits(scheduler.store)
    slot_waits.release()
    slot_waits.release()
    assert scheduler.status().live == {"ready": 1, "scheduled": 1}


def test_E13_jobs_with_many_due_times_are_fired_in_short_transactions(
    scheduler: Scheduler, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What bounds a transaction is the number of runs that it stores, not that of their jobs."""
    add_jobs(scheduler, 60, trigger=every(minutes=1), catch_up="all", overlap="queue")
    scheduler.tick()
    stored: list[int] = []
    add = runs.add

    def counting(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> int:
        stored.append(len(rows))
        return add(tx, rows)

    monkeypatch.setattr(runs, "add", counting)
    world.clock.advance(20 * 60 + 1)
    while sum(stored) < 1200:
        scheduler.tick(wait=False)
    assert sum(stored) == 1200
    assert stored[0] <= (1020 if scheduler.store.dialect.many_writers else 270)
    assert max(stored) <= 1020


def test_E19_a_tag_of_more_jobs_than_a_statement_has_parameters(postgresql_url: str) -> None:
    """PostgreSQL takes 65,535 parameters; 70,000 jobs are found by one list each."""
    scheduler = Scheduler(postgresql_url)
    names = [f"j{place}" for place in range(70_000)]
    scheduler.task(name="work")(lambda: None)
    scheduler.add("work", every(hours=1), id="j7")
    with scheduler.store.write() as tx:
        assert [row.id for row in jobs.lock(tx, names)] == ["j7"]
        jobs.pause(tx, names, "ana", None)
        uids = dict.fromkeys(names, "")
        assert runs.occupancy(tx.conn, uids).keys() == uids.keys()
        assert runs.live_of_jobs(tx.conn, names) == []
        assert runs.lock(tx, [tx.run_id()] * 70_000) == []
    assert scheduler.job("j7").state == "paused"
    with scheduler.store.write() as tx:
        jobs.remove(tx, names)
    assert scheduler.jobs() == []
    scheduler.stop()
    scheduler.store.dispose()


@pytest.mark.parametrize("state", ["active", "paused"])
def test_E19_an_edit_after_a_long_stop_decides_in_steps(
    world: World, scheduler: Scheduler, state: str
) -> None:
    """A trigger whose times must be computed one by one had 60,000 while nothing ran."""
    trigger = any_of(every(seconds=7), every(seconds=11))
    scheduler.add("work", trigger, id="j")
    if state == "paused":
        scheduler.pause("j")
    world.clock.advance(timedelta(days=3).total_seconds())
    with traffic_of(scheduler) as traffic:
        scheduler.edit("j", trigger=every(hours=1))
        steps = traffic.transactions
    assert len(steps) > 3 if state == "active" else len(steps) == 1
    counts = [missed.count for missed in scheduler.missed("j")]
    elapsed = timedelta(days=3).total_seconds()
    expected = elapsed // 7 + elapsed // 11 - elapsed // 77
    assert sum(counts) + len(scheduler.runs(job="j")) == pytest.approx(expected, abs=2)


def test_E19_counts_stop_at_a_bound(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status of 300,000 jobs and runs takes as long as that of some thousand."""
    monkeypatch.setattr("duly.store.sql.bounded_count.COUNTED", 5)
    add_jobs(scheduler, 10)
    add_runs(scheduler, "j00000", 7)
    add_runs(scheduler, "j00001", 4, waiting=True)
    scheduler.pause("j00002")
    status = scheduler.status()
    assert status.jobs == {"active": 5, "paused": 1}
    assert status.live == {"ready": 5, "scheduled": 4}
    assert status.last_day == {"ready": 7, "scheduled": 4}


def test_E19_a_status_walks_no_more_rows_when_there_are_more(
    prepared_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own count of its steps is the same with five times as many jobs and runs."""
    monkeypatch.setattr("duly.store.sql.bounded_count.COUNTED", 10)
    monkeypatch.setattr(totals, "RECENT", 10)
    monkeypatch.setattr(examination, "MOST", 10)
    scheduler = Scheduler(prepared_sqlite_url)
    scheduler.task(name="work")(lambda n=0: None)
    scheduler.prepare()
    steps, spent = [0], list[int]()

    def count() -> None:
        steps[0] += 1

    def observe(connection: Any, *_rest: Any) -> None:
        connection.set_progress_handler(count, 1)

    event.listen(scheduler.store.engine, "checkout", observe)
    for number in (200, 1000):
        with scheduler.store.write() as tx:
            for table in (tables.job, tables.job_tag, tables.run):
                tx.conn.execute(delete(table))
        add_jobs(scheduler, number)
        for name, state in (("j00000", "ready"), ("j00001", "failed"), ("j00002", "succeeded")):
            add_runs(scheduler, name, number)
            with scheduler.store.write() as tx:
                of_job = update(tables.run).where(tables.run.c.job_id == name)
                tx.conn.execute(of_job.values(state=state))
        add_runs(scheduler, "j00003", number, waiting=True)
        steps[0] = 0
        scheduler.status()
        spent.append(steps[0])
    event.remove(scheduler.store.engine, "checkout", observe)
    assert 0 < spent[1] < 1.2 * spent[0], spent
    scheduler.stop(grace=0)
    scheduler.store.dispose()


def test_E19_a_claim_looks_only_for_what_it_may_claim(scheduler: Scheduler) -> None:
    """Under a held snapshot, each further look passes the dead entries of all that has fired."""
    add_jobs(scheduler, 1)
    add_runs(scheduler, "j00000", 3)
    with traffic_of(scheduler) as traffic:
        scheduler.tick()
    sent = [sql for statements in traffic.transactions for sql in statements]
    looks = [sql for sql in sent if "lease_until" in sql and "duly_queue" in sql]
    assert looks
    assert not [sql for sql in looks if "next_fire_at" in sql]


def test_E19_changing_many_jobs_takes_few_statements(scheduler: Scheduler) -> None:
    """add_many(replace=True) with new triggers, arguments and tags costs about a first insert."""
    wanted = add_jobs(scheduler, 1000)
    with traffic_of(scheduler) as traffic:
        scheduler.add_many(wanted, replace=True)
    assert traffic.statements < 20
    changes = {"trigger": every(hours=2), "args": {"n": 1}, "tags": ["t", "u"], "priority": 3}
    changed = [{**job, **changes} for job in wanted]
    with traffic_of(scheduler) as traffic:
        scheduler.add_many(changed, replace=True)
    assert traffic.statements < 40
    job = scheduler.job("j00999")
    assert (job.args, job.tags, job.options.priority) == ({"n": 1}, ("t", "u"), 3)
    assert len(scheduler.events(kind="job.changed", limit=1000)) == 1000


def test_E19_a_changed_trigger_is_encoded_once(
    scheduler: Scheduler, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a trigger that may be the stored one is bound to the stored one's anchor as well."""
    wanted = add_jobs(scheduler, 300)
    world.clock.advance(60)
    encoded: list[Trigger] = []

    def counting(trigger: Trigger) -> str:
        encoded.append(trigger)
        return encode(trigger)

    monkeypatch.setattr(binding, "encode", counting)
    changed = [{**job, "trigger": every(seconds=90_000 + n)} for n, job in enumerate(wanted)]
    scheduler.add_many(changed, replace=True)
    assert len(encoded) <= 310
    scheduler.add_many(changed, replace=True)
    assert {job.revision for job in scheduler.jobs(limit=1000)} == {2}


def test_E19_a_trigger_that_is_added_again_keeps_its_series(
    scheduler: Scheduler, world: World
) -> None:
    """Whatever its kind, it counts from the instant at which its job was added first."""
    scheduler.set_calendar("holidays", dates("01-06"))
    triggers: list[Trigger] = [
        every(hours=7), calendar(days=3, at="04:00"), rrule("FREQ=HOURLY;INTERVAL=5"),
        frequency({"type": "interval", "every_minutes": 25}),
        any_of(every(hours=5), every(hours=8)), every(hours=9).excluding("holidays"),
    ]  # fmt: skip
    for trigger in triggers:
        before = scheduler.add("work", trigger, id="j")
        world.clock.advance(26 * 3600)
        after = scheduler.add("work", trigger, id="j", replace=True)
        assert (after.revision, after.trigger) == (before.revision, before.trigger)
        scheduler.remove("j")


def test_E19_tags_are_replaced(scheduler: Scheduler) -> None:
    """Jobs that lose tags and jobs that only get more are changed together."""
    old = {"a": ["x", "y"], "b": ["x"], "c": [], "d": ["x"]}
    new = {"a": ["y", "z"], "b": ["x", "z"], "c": ["x"], "d": []}
    for tags in (old, new):
        scheduler.add_many(
            [{"task": "work", "trigger": every(hours=1), "id": name, "tags": tags[name]}
             for name in tags],
            replace=True,
        )  # fmt: skip
        assert {job.id: list(job.tags) for job in scheduler.jobs()} == tags


def test_E19_a_job_removed_while_others_change_is_added_again(scheduler: Scheduler) -> None:
    """add_many(replace=True) stores every job, also one that is removed between its steps."""
    wanted = add_jobs(scheduler, 3)
    stored = jobs.stored

    def and_remove(*arguments: Any) -> set[str]:
        found = stored(*arguments)
        arguments[0].execute(delete(tables.job).where(tables.job.c.id == "j00001"))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "stored", and_remove)
        scheduler.add_many(wanted, replace=True)
    assert [job.id for job in scheduler.jobs()] == ["j00000", "j00001", "j00002"]
