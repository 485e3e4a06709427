"""Engine rule 14: a worker with a free slot claims the runs that it fires as it inserts them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, select

from duly import Run, RunRecord, Scheduler, every
from duly.store import tables
from duly.worker.claims.claim import Claim
from duly.worker.in_flight import Reservation
from duly.worker.rescue import return_strays
from tests.store.conftest import add_run
from tests.support.waiting import wait_until
from tests.worker.conftest import World, states
from tests.worker.internals import worker_of

SECOND = timedelta(seconds=1)


@contextmanager
def claims_of(scheduler: Scheduler) -> Iterator[list[str]]:
    """The statements that claimed ready runs."""
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if sql.lstrip().startswith(("UPDATE", "WITH")) and "attempt" in sql and "duly_run" in sql:
            seen.append(sql)

    event.listen(scheduler.store.engine, "before_cursor_execute", note)
    yield seen
    event.remove(scheduler.store.engine, "before_cursor_execute", note)


def working(world: World, **options: Any) -> tuple[Scheduler, list[str]]:
    """A worker, and the ids of the runs that it has executed."""
    scheduler, called = world.scheduler(**options), list[str]()

    @scheduler.task(name="work")
    def work(run: Run) -> None:
        called.append(run.id)

    scheduler.tick()
    return scheduler, called


def test_rule_14_a_run_that_fires_here_is_never_ready(world: World) -> None:
    """Its row is inserted as claimed, and no claim statement follows."""
    scheduler, called = working(world)
    told: list[Any] = []
    scheduler.on("run.started", told.append)
    scheduler.add("work", every(seconds=10), id="j")
    with claims_of(scheduler) as claims:
        world.forward(scheduler, 10)
    (run,) = scheduler.runs(job="j")
    assert (run.state, run.attempt, run.worker_id) == (
        "succeeded", 1, scheduler.worker_id,
    )  # fmt: skip
    assert (run.started_at, run.scheduled_for) == (world.clock.now(), world.clock.now())
    assert (called, claims) == ([run.id], [])
    assert [(fact.run_id, fact.job_id) for fact in told] == [(run.id, "j")]
    with scheduler.store.read() as conn:
        row = conn.execute(select(tables.run).where(tables.run.c.id == run.id)).one()
    assert (row.token, row.claim_id is None) == (1, False)


def test_rule_14_nothing_is_claimed_from_a_paused_queue(world: World) -> None:
    """The run waits in its queue and is claimed after the queue is resumed."""
    scheduler, called = working(world)
    scheduler.add("work", every(seconds=10), id="j")
    scheduler.pause_queue("default")
    world.forward(scheduler, 10)
    assert (states(scheduler.runs(job="j")), called) == (["ready"], [])
    scheduler.resume_queue("default")
    scheduler.tick()
    assert (states(scheduler.runs(job="j")), len(called)) == (["succeeded"], 1)


def test_rule_14_an_older_run_starts_first(world: World) -> None:
    """A run that is already waiting starts before the run that fires now."""
    scheduler, called = working(world, queues={"default": 1})
    scheduler.add("work", every(seconds=10), id="j")
    world.clock.advance(10)
    with scheduler.store.write() as tx:
        older = add_run(tx, due_at=tx.now - 5 * SECOND)
    scheduler.tick()
    assert called == [older, scheduler.runs(job="j")[0].id]


def test_rule_14_a_more_urgent_run_starts_first(world: World) -> None:
    """Of two runs that fire together, priority decides which one gets the only slot."""
    scheduler, called = working(world, queues={"default": 1})
    scheduler.add("work", every(seconds=5), id="a", priority=10)
    scheduler.add("work", every(seconds=10), id="b", priority=-10)
    scheduler.add("work", every(seconds=10), id="c", priority=-20, concurrency_key="k")
    world.forward(scheduler, 10)
    jobs = {run.id: run.job_id for run in scheduler.runs()}
    assert [jobs[run_id] for run_id in called] == ["c", "b", "a"]


@pytest.mark.parametrize("paused", [False, True])
def test_rule_14_a_run_that_expired_before_its_insert_is_missed(world: World, paused: bool) -> None:
    """The result is the same as for a run that is inserted as ready and claimed later."""
    scheduler, called = working(world)
    scheduler.add("work", every(hours=1), id="j", expires=60)
    if paused:
        scheduler.pause_queue("default")
    world.forward(scheduler, 3600 + 61)
    scheduler.resume_queue("default")
    scheduler.tick()
    assert (states(scheduler.runs(job="j")), called) == (["missed"], [])


@pytest.mark.parametrize("how", ["queue", "key"])
def test_rule_14_limits_are_kept(world: World, how: str) -> None:
    """Runs under a limit are left for an ordinary claim, which locks the limit."""
    scheduler, called = working(world)
    options: dict[str, Any] = {"concurrency_key": "k"} if how == "key" else {}
    if how == "queue":
        scheduler.set_queue("default", max_running=1)
    for name in "ab":
        scheduler.add("work", every(seconds=10), id=name, **options)
    with claims_of(scheduler) as claims:
        world.forward(scheduler, 10)
    assert len(called) == 2
    assert len(claims) >= 2


def test_rule_14_a_run_of_an_unknown_task_is_left_for_others(world: World) -> None:
    """The worker fires the job, and a worker that knows the function executes it."""
    other = world.scheduler()
    other.task(name="theirs")(lambda: None)
    other.add("theirs", every(seconds=10), id="j")
    scheduler, _called = working(world)
    world.forward(scheduler, 10)
    assert states(scheduler.runs(job="j")) == ["ready"]
    other.tick()
    assert states(scheduler.runs(job="j")) == ["succeeded"]


def test_rule_14_no_more_runs_are_claimed_than_slots_are_free(world: World) -> None:
    """The other runs are ready at once, for any worker."""
    scheduler, go_on = world.scheduler(queues={"default": 2}), threading.Event()
    scheduler.task(name="long")(lambda: go_on.wait(240))
    scheduler.tick()
    for number in range(5):
        scheduler.add("long", every(seconds=10), id=f"j{number}")
    world.clock.advance(10)
    worker_of(scheduler).tick(wait=False)
    assert sorted(states(scheduler.runs())) == ["ready"] * 3 + ["running"] * 2
    go_on.set()
    scheduler.tick()
    assert states(scheduler.runs()) == ["succeeded"] * 5


def test_rule_14_a_worker_without_a_row_claims_nothing(world: World) -> None:
    """A worker that was declared dead leaves the runs that it inserts to the others."""
    scheduler, called = working(world)
    scheduler.add("work", every(seconds=2), id="j")
    with scheduler.store.write() as tx:
        tx.conn.execute(delete(tables.worker))
    world.clock.advance(2)  # no beat has told it yet
    worker_of(scheduler).tick(wait=False)
    assert (states(scheduler.runs(job="j")), called) == (["ready"], [])


def test_rule_06_a_nominal_time_that_already_has_a_run_starts_nothing(world: World) -> None:
    """The stored row counts; the conflicting insert is not executed."""
    scheduler, called = working(world)
    record = scheduler.add("work", every(seconds=10), id="j")
    due: datetime | None = record.next_fire_at
    with scheduler.store.write() as tx:
        held = add_run(
            tx, job_id="j", job_uid=record.uid, scheduled_for=due, state="cancelled",
            keep_until=tx.now + SECOND,
        )  # fmt: skip
    scheduler.add("work", every(seconds=10), id="k")
    world.forward(scheduler, 10)
    assert [run.id for run in scheduler.runs(job="j")] == [held]
    assert called == [scheduler.runs(job="k")[0].id]


# -------------------------------------------------------------------------------- what is enqueued


@pytest.fixture
def running(prepared_database_url: str) -> Iterator[tuple[Scheduler, list[str]]]:
    """A started worker with two slots, and the ids of the runs that it has executed."""
    scheduler, called = Scheduler(prepared_database_url, queues={"default": 2}), list[str]()

    @scheduler.task(name="work")
    def work(run: Run) -> None:
        called.append(run.id)

    @scheduler.task(name="limited", timeout=0.01)
    async def limited() -> None:
        await asyncio.Event().wait()

    with scheduler.running():
        wait_until(lambda: scheduler.state == "running")
        yield scheduler, called


def done(scheduler: Scheduler, run_id: str, state: str = "succeeded") -> RunRecord:
    """Wait until a run is in this state, and return it."""
    wait_until(lambda: scheduler.run(run_id).state == state)
    return scheduler.run(run_id)


def test_rule_14_a_call_starts_in_the_process_that_enqueues_it(
    running: tuple[Scheduler, list[str]],
) -> None:
    """The run is inserted as claimed, and no claim statement follows."""
    scheduler, called = running
    told: list[Any] = []
    scheduler.on("run.started", told.append)
    with claims_of(scheduler) as claims:
        run_id = scheduler.enqueue("work")
        run = done(scheduler, run_id)
    wait_until(lambda: told)
    assert (run.attempt, run.worker_id) == (1, scheduler.worker_id)
    assert (called, claims, [fact.run_id for fact in told]) == ([run_id], [], [run_id])


def test_rule_14_a_call_waits_its_turn_in_a_paused_queue(
    running: tuple[Scheduler, list[str]],
) -> None:
    """After a resume it starts after the older runs of its queue."""
    scheduler, called = running
    scheduler.pause_queue("default")
    first = scheduler.enqueue("work")
    assert scheduler.run(first).state == "ready"
    second = scheduler.enqueue("work")
    scheduler.resume_queue("default")
    done(scheduler, second)
    assert called == [first, second]


def test_rule_14_the_timeout_of_a_call_that_starts_at_once_is_kept(
    running: tuple[Scheduler, list[str]],
) -> None:
    """The sleeping loop is woken, so that it enforces the timeout."""
    scheduler, _called = running
    done(scheduler, scheduler.enqueue("limited"), "failed")


def test_rule_14_delayed_and_keyed_calls_are_not_claimed_on_insert(
    running: tuple[Scheduler, list[str]],
) -> None:
    """They are claimed when they are due, within their limits."""
    scheduler, called = running
    later = scheduler.enqueue("work", delay=3600)
    assert scheduler.run(later).state == "scheduled"
    with claims_of(scheduler) as claims:
        keyed = scheduler.enqueue("work", concurrency_key="one")
        done(scheduler, keyed)
    assert (called, len(claims) > 0) == ([keyed], True)


def test_rule_14_a_fenced_worker_claims_no_call(running: tuple[Scheduler, list[str]]) -> None:
    """Its row is gone, so the call is left for another worker: here, for its next registration."""
    scheduler, called = running
    former = scheduler.worker_id
    with scheduler.store.write() as tx:
        tx.conn.execute(delete(tables.worker))
    run = done(scheduler, scheduler.enqueue("work"))
    assert (run.worker_id != former, called) == (True, [run.id])


def test_rule_14_a_call_that_is_about_to_start_is_not_a_stray(
    running: tuple[Scheduler, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan for strays between a call's commit and its start does not give the call back."""
    scheduler, called = running
    engine, returned = worker_of(scheduler), list[int]()
    start = engine.start_claims

    def start_late(claims: Sequence[Claim], reservation: Reservation) -> bool:
        held = engine.execution.claims
        returned.append(return_strays(scheduler.store, engine.lease.worker_id, held))
        return start(claims, reservation)

    monkeypatch.setattr(engine, "start_claims", start_late)
    run_id = scheduler.enqueue("work")
    assert done(scheduler, run_id).attempt == 1
    assert (returned, called) == ([0], [run_id])
