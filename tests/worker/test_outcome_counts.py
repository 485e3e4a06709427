"""How many runs have ended, by task, queue and outcome: exact, and never less than before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from duly import Scheduler, every
from duly.store import history, outcomes
from duly.store.outcomes import FEW
from tests.worker.conftest import World, states
from tests.worker.internals import die


def totals(scheduler: Scheduler) -> dict[tuple[str, str, str], int]:
    with scheduler.store.read() as conn:
        return outcomes.totals(conn)


@pytest.fixture
def scheduler(world: World) -> Scheduler:
    scheduler = world.scheduler(queues={"default": 10, "mail": 10})

    @scheduler.task()
    def work(n: int = 0) -> None:
        """Succeed."""

    @scheduler.task(queue="mail")
    def fail() -> None:
        raise RuntimeError("it failed")

    scheduler.prepare()
    return scheduler


def test_each_end_is_counted_by_task_queue_and_outcome(scheduler: Scheduler) -> None:
    """Also of a run that was cancelled before it started."""
    for n in range(3):
        scheduler.enqueue("work", n=n)
    scheduler.enqueue("work", args={"n": 9}, queue="mail")
    scheduler.enqueue("fail")
    scheduler.cancel(scheduler.enqueue("work", args={}, delay=60))
    scheduler.tick()
    assert totals(scheduler) == {
        ("work", "default", "succeeded"): 3, ("work", "mail", "succeeded"): 1,
        ("fail", "mail", "failed"): 1, ("work", "default", "cancelled"): 1,
    }  # fmt: skip


def test_an_end_that_a_user_undoes_stays_counted(scheduler: Scheduler) -> None:
    """A counter that falls would be taken for a restart: a run that fails twice counts twice."""
    run_id = scheduler.enqueue("fail")
    scheduler.tick()
    scheduler.retry(run_id)
    scheduler.tick()
    scheduler.discard(run_id, reason="enough")
    assert totals(scheduler) == {("fail", "mail", "failed"): 2, ("fail", "mail", "discarded"): 1}


def test_counts_outlive_the_runs(world: World, scheduler: Scheduler) -> None:
    """Retention deletes runs and not what was counted of them."""
    scheduler.enqueue("work")
    scheduler.tick()
    before = totals(scheduler)
    world.clock.advance(timedelta(days=31).total_seconds())
    with scheduler.store.write() as tx:
        assert history.prune(tx, 100) == 1
    assert scheduler.runs() == []
    assert totals(scheduler) == before == {("work", "default", "succeeded"): 1}


def test_each_missed_time_counts_once(world: World, scheduler: Scheduler) -> None:
    """Whether it has a row of its own or is part of a range, and although one of them runs."""
    scheduler.add("work", every(minutes=1), id="j", catch_up="latest")
    world.forward(scheduler, 60)
    world.forward(scheduler, 600)
    with scheduler.store.read() as conn:
        ranges = history.ranges(conn, "j", 10)
    recorded = sum(row._mapping["count"] for row in ranges)
    assert recorded == 9
    assert totals(scheduler) == {
        ("work", "default", "missed"): recorded,
        ("work", "default", "succeeded"): states(scheduler.runs(limit=100)).count("succeeded"),
    }


def test_a_skipped_time_is_counted_once(world: World) -> None:
    """The overlap policy does not let it run."""
    scheduler = world.scheduler()
    scheduler.task(name="long")(lambda: None)
    scheduler.add("long", every(minutes=1), id="j")
    scheduler.run_now("j")
    other = world.scheduler(queues={"none": 1})  # fires, and executes nothing of this queue
    other.task(name="long")(lambda: None)
    world.forward(other, 60)
    assert totals(scheduler) == {("long", "default", "skipped"): 1}


def test_a_rolled_back_transaction_has_counted_nothing(scheduler: Scheduler) -> None:
    """Whether the run ends in the caller's transaction or not, its end and the count are one."""
    run_id = scheduler.enqueue("work", args={}, delay=60)
    with scheduler.store.engine.connect() as conn:
        scheduler.cancel(run_id, session=conn)
        conn.rollback()
    assert totals(scheduler) == {}
    with scheduler.store.engine.connect() as conn:
        scheduler.cancel(run_id, session=conn)
        conn.commit()
    assert totals(scheduler) == {("work", "default", "cancelled"): 1}


def test_what_a_dead_worker_held_is_counted_when_it_ends(world: World) -> None:
    """The rescue is no end; the death of the only worker that may try it is one."""
    first = world.scheduler(heartbeat="fast", queues={"default": 1})
    first.task(name="once", on_crash="fail")(lambda: die(first))
    first.enqueue("once")
    first.tick(wait=False)
    world.clock.advance(60)
    second = world.scheduler(heartbeat="fast")
    second.task(name="once", on_crash="fail")(lambda: None)
    for _ in range(3):
        world.forward(second, 6)
    ended = states(second.runs())
    assert totals(second) == {("once", "default", ended[0]): 1}


def test_summing_up_changes_no_count(scheduler: Scheduler) -> None:
    """Many rows become one for each task, queue and outcome; then there is nothing to do."""
    for _ in range(FEW + 1):
        with scheduler.store.write() as tx:
            tx.count_outcome("work", "default", "succeeded", 2)
            tx.count_outcome("work", "default", "failed")
    before = totals(scheduler)
    summed = scheduler.store.run(lambda tx: outcomes.sum_up(tx, 1000))
    assert summed == 2 * (FEW + 1)
    assert totals(scheduler) == before
    assert before["work", "default", "succeeded"] == 2 * (FEW + 1)
    with scheduler.store.write() as tx:
        assert outcomes.sum_up(tx, 1000) == 0
        assert not tx.outcomes


def test_a_worker_sums_up_by_itself(world: World, scheduler: Scheduler) -> None:
    """So that the table stays small however many runs end."""
    for _ in range(FEW + 1):
        with scheduler.store.write() as tx:
            tx.count_outcome("work", "default", "succeeded")
    scheduler.tick()
    with scheduler.store.read() as conn:
        rows = conn.exec_driver_sql("select count(*) from duly_outcome_count").scalar_one()
    assert rows == 1
    assert totals(scheduler) == {("work", "default", "succeeded"): FEW + 1}
