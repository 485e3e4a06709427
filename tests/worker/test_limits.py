"""Limits over all workers: concurrency keys, queues, rates; and unique keys until the start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event, select

from duly import Run, Scheduler, every
from duly.errors import ConfigurationError, DatabaseUnavailable
from duly.store import tables
from duly.store.transaction import Transaction
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step


class Held:
    """A task whose calls continue until they are released, one by one or all at once."""

    def __init__(self, *schedulers: Scheduler, **options: Any) -> None:
        self._go = threading.Semaphore(0)
        self._lock = threading.Lock()
        self.now = self.most = self.calls = 0
        for scheduler in schedulers:
            scheduler.task(name="held", **options)(self._held)

    def _held(self) -> None:
        with self._lock:
            self.now += 1
            self.calls += 1
            self.most = max(self.most, self.now)
        assert self._go.acquire(timeout=240)
        with self._lock:
            self.now -= 1

    def let_go(self, calls: int = 1) -> None:
        """Release this number of calls."""
        self._go.release(calls)

    def wait_running(self, calls: int) -> None:
        """Wait until this number of calls is running."""
        wait_until(lambda: self.now == calls, what=f"{calls} calls")


def live(scheduler: Scheduler) -> dict[str, int]:
    return scheduler.status().live


def test_rule_13_runs_with_one_key_run_one_at_a_time(world: World) -> None:
    """Of five runs with one key, only one runs at any time on two workers with ten slots each."""
    workers = world.scheduler(), world.scheduler()
    held = Held(*workers)
    for _ in range(5):
        workers[0].enqueue("held", concurrency_key="customer-7")
    for done in range(5):
        for worker in workers:
            step(worker)
        held.wait_running(1)
        assert held.calls == done + 1
        held.let_go()
        held.wait_running(0)
    for worker in workers:
        step(worker)
    assert (held.calls, held.most, live(workers[0])) == (5, 1, {})


def test_rule_13_set_limit_allows_more_and_remove_limit_one_again(world: World) -> None:
    """A key's limit applies across all workers, from the next claim on."""
    workers = world.scheduler(), world.scheduler()
    held = Held(*workers, concurrency_key="api")
    workers[0].set_limit("api", 3, actor="ana")
    for _ in range(8):
        workers[0].enqueue("held")
    for worker in workers:
        step(worker)
    held.wait_running(3)
    (limit,) = workers[1].limits()
    assert (limit.key, limit.max_running, limit.running) == ("api", 3, 3)
    assert workers[0].remove_limit("api", actor="ana")
    assert not workers[0].remove_limit("api")
    assert workers[0].limits() == []
    held.let_go(2)
    held.wait_running(1)
    for worker in workers:
        step(worker)
    assert held.calls == 3
    workers[0].set_limit("api", 10)
    step(workers[1])
    held.wait_running(6)
    held.let_go(10)
    held.wait_running(0)
    assert workers[0].events(kind="limit.changed")[0].actor == "ana"


def test_a_limit_of_zero_holds_a_key_back(world: World) -> None:
    """Nothing with that key starts until the limit is raised or removed."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.set_limit("k", 0)
    run_id = scheduler.enqueue("work", concurrency_key="k")
    scheduler.tick()
    assert scheduler.run(run_id).state == "ready"
    scheduler.remove_limit("k")
    scheduler.tick()
    assert scheduler.run(run_id).state == "succeeded"


def test_a_blocked_key_does_not_block_the_runs_behind_it(world: World) -> None:
    """Behind fifty urgent runs of a blocked key, other keys and plain runs still start."""
    scheduler = world.scheduler(queues={"default": 20})
    held = Held(scheduler)
    order: list[str] = []
    scheduler.task(name="note")(lambda what: order.append(what))  # noqa: PLW0108 - its parameter has a name
    for _ in range(50):
        scheduler.enqueue("held", concurrency_key="slow", priority=-5)
    step(scheduler)
    held.wait_running(1)
    last = scheduler.enqueue("note", args={"what": "last"}, priority=9)
    scheduler.enqueue("note", args={"what": "keyed"}, concurrency_key="other", priority=1)
    scheduler.enqueue("note", args={"what": "plain"})
    wait_until(lambda: _stepped(scheduler, last))
    assert sorted(order) == ["keyed", "last", "plain"]
    assert held.calls == 1
    held.let_go(50)


def _stepped(scheduler: Scheduler, run_id: str) -> bool:
    step(scheduler)
    return scheduler.run(run_id).state == "succeeded"


def test_keyed_and_plain_runs_start_in_one_order(world: World) -> None:
    """With one slot, priority decides between runs with and without keys."""
    scheduler = world.scheduler(queues={"default": 1})
    order: list[int] = []
    scheduler.task(name="note")(lambda n: order.append(n))  # noqa: PLW0108 - its parameter has a name
    for n, key in ((4, None), (2, "a"), (5, "a"), (1, None), (3, "b"), (0, "b")):
        scheduler.enqueue("note", args={"n": n}, priority=n, concurrency_key=key)
    scheduler.tick()
    assert order == [0, 1, 2, 3, 4, 5]


def test_more_keys_than_one_claim_considers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key gets its turn, even if the first hundreds are blocked."""
    scheduler = world.scheduler(queues={"default": 5})
    done: list[str] = []
    scheduler.task(name="note")(lambda what: done.append(what))  # noqa: PLW0108 - its parameter has a name
    with scheduler.store.write() as tx:
        for n in range(520):
            scheduler.enqueue(
                "note", args={"what": "x"}, concurrency_key=f"a{n:04}", session=tx.conn
            )
    for n in range(520):
        scheduler.set_limit(f"a{n:04}", 0)
    scheduler.enqueue("note", args={"what": "z"}, concurrency_key="z", priority=5)
    scheduler.tick()
    assert done == ["z"]


def test_a_blocked_queue_does_not_make_the_loop_spin(prepared_database_url: str) -> None:
    """While a run waits for its key the loop sleeps; the run starts once the key is free."""
    scheduler, other = Scheduler(prepared_database_url), Scheduler(prepared_database_url)
    held = Held(scheduler, other)
    began: list[str] = []
    try:
        with scheduler.running():
            scheduler.enqueue("held", concurrency_key="k")
            held.wait_running(1)
            with other.running():
                scheduler.enqueue("held", concurrency_key="k")
                wait_until(lambda: scheduler.status().live == {"running": 1, "ready": 1})
                for one in (scheduler, other):
                    event.listen(one.store.engine, "begin", lambda _conn: began.append("begin"))
                threading.Event().wait(1.5)
                assert len(began) < 60
                held.let_go()
                wait_until(lambda: held.calls == 2)
                held.let_go()
                wait_until(lambda: scheduler.status().live == {})
    finally:
        held.let_go(5)


def test_rule_13_a_queue_limit_applies_across_all_workers(world: World) -> None:
    """A queue's ``max_running`` counts the runs of all workers; other queues are unaffected."""
    queues = {"mail": 10, "other": 10}
    workers = world.scheduler(queues=queues), world.scheduler(queues=queues)
    held = Held(*workers)
    workers[0].set_queue("mail", max_running=3)
    for _ in range(6):
        workers[0].enqueue("held", queue="mail")
    workers[0].enqueue("held", queue="other")
    for worker in workers:
        step(worker)
    held.wait_running(4)
    (mail,) = [queue for queue in workers[0].status().queues if queue.name == "mail"]
    assert (mail.max_running, mail.rate, mail.paused) == (3, None, False)
    workers[0].set_queue("mail")
    step(workers[1])
    held.wait_running(7)
    held.let_go(7)


def test_a_rate_limits_the_starts_per_period(world: World) -> None:
    """Ten a minute: ten at once, then one every six seconds; at most ten accumulate."""
    scheduler = world.scheduler(queues={"mail": 50})
    done: list[int] = []
    scheduler.task(name="send")(lambda n: done.append(n))  # noqa: PLW0108 - its parameter has a name
    scheduler.set_queue("mail", rate=10, per=60)
    for n in range(60):
        scheduler.enqueue("send", args={"n": n}, queue="mail")
    scheduler.tick()
    assert len(done) == 10
    for expected in (10, 11, 11, 12):
        world.forward(scheduler, 3)
        assert len(done) == expected
    world.forward(scheduler, 48)
    assert len(done) == 20
    world.forward(scheduler, 3600)
    assert sorted(done) == list(range(30))
    world.forward(scheduler, 59)
    assert len(done) == 39


def test_a_used_up_rate_wakes_the_loop_when_the_next_may_start(prepared_database_url: str) -> None:
    """At twenty a second the loop does not wait for its next poll."""
    scheduler = Scheduler(prepared_database_url, queues={"mail": 5})
    scheduler.task(name="send")(lambda: None)
    scheduler.set_queue("mail", rate=20, per=1)
    with scheduler.running():
        for _ in range(40):
            scheduler.enqueue("send", queue="mail")
        wait_until(lambda: scheduler.status().live == {})
        runs = scheduler.runs(limit=100)
    started = sorted(run.started_at for run in runs if run.started_at)
    assert 0.9 <= (started[-1] - started[0]).total_seconds() < 8
    gaps = [(b - a).total_seconds() for a, b in pairwise(started)]
    assert sorted(gaps)[len(gaps) // 2] < 0.5


def test_pausing_and_limiting_a_queue_are_independent(world: World) -> None:
    """Limits outlive a pause and a resume; setting limits neither pauses nor resumes."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.set_queue("default", max_running=2, rate=5, per=10)
    run_id = scheduler.enqueue("work")
    scheduler.pause_queue("default", reason="tax day", actor="ana")
    scheduler.tick()
    (queue,) = scheduler.status().queues
    assert (queue.paused, queue.paused_by, queue.max_running) == (True, "ana", 2)
    assert scheduler.run(run_id).state == "ready"
    scheduler.set_queue("default", max_running=1)
    (queue,) = scheduler.status().queues
    assert (queue.paused, queue.max_running, queue.rate) == (True, 1, None)
    scheduler.resume_queue("default")
    (queue,) = scheduler.status().queues
    assert (queue.paused, queue.paused_reason, queue.max_running) == (False, None, 1)
    scheduler.tick()
    assert scheduler.run(run_id).state == "succeeded"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.set_limit("", 1), "key"),
        (lambda s: s.set_limit("k", -1), "max_running"),
        (lambda s: s.set_limit("k", True), "max_running"),
        (lambda s: s.set_queue("", max_running=1), "name"),
        (lambda s: s.set_queue("mail", max_running=0), "max_running"),
        (lambda s: s.set_queue("mail", rate=0), "rate"),
        (lambda s: s.set_queue("mail", rate=1, per=0), "per"),
        (lambda s: s.enqueue("work", concurrency_key="k" * 192), "concurrency_key"),
        (lambda s: s.task(concurrency_key=7)(print), "concurrency_key"),
    ],
    ids=["key", "negative", "bool", "name", "none", "rate", "per", "long key", "no text"],
)
def test_a_limit_that_makes_no_sense_is_refused(world: World, call: Any, words: str) -> None:
    """The error names the option and its valid values."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    with pytest.raises(ConfigurationError, match=words):
        call(scheduler)


def test_rule_04_a_function_that_still_executes_occupies_its_key_and_queue(world: World) -> None:
    """A timed-out function that still runs keeps its key and its queue's slot occupied."""
    scheduler = world.scheduler(queues={"default": 5, "mail": 5})
    held = Held(scheduler, timeout=5)
    scheduler.task(name="next")(lambda: None)
    scheduler.set_queue("mail", max_running=1)
    first = scheduler.enqueue("held", concurrency_key="k", queue="mail")
    step(scheduler)
    held.wait_running(1)
    world.clock.advance(5)
    wait_until(lambda: _state(scheduler, first) == "failed")
    same_key = scheduler.enqueue("next", concurrency_key="k")
    same_queue = scheduler.enqueue("next", queue="mail")
    step(scheduler)
    assert [scheduler.run(run_id).state for run_id in (same_key, same_queue)] == ["ready"] * 2
    held.let_go()
    for run_id in (same_key, same_queue):
        wait_until(lambda run_id=run_id: _state(scheduler, run_id) == "succeeded")  # type: ignore[misc]


def test_rule_04_a_cancelled_run_that_still_executes_counts_for_overlap_and_limits(
    world: World,
) -> None:
    """Its job does not fire beside it, and no other run with its key starts."""
    scheduler = world.scheduler()
    held = Held(scheduler)
    scheduler.task(name="next")(lambda: None)
    scheduler.add("held", every(seconds=60), id="j", concurrency_key="k")
    scheduler.tick()
    world.clock.advance(60)
    step(scheduler)
    held.wait_running(1)
    (run,) = scheduler.runs(job="j")
    scheduler.cancel(run.id)
    world.clock.advance(2)
    wait_until(lambda: _state(scheduler, run.id) == "cancelled")
    waiting = scheduler.enqueue("next", concurrency_key="k")
    world.clock.advance(60)
    step(scheduler)
    assert scheduler.runs(job="j")[0].state == "skipped"
    assert scheduler.run(waiting).state == "ready"
    held.let_go()
    wait_until(lambda: _state(scheduler, waiting) == "succeeded")


def test_rule_04_a_slot_is_freed_although_the_timeout_was_never_acknowledged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has ended in the database without its worker's knowledge when the function ends."""
    scheduler = world.scheduler()
    held = Held(scheduler, timeout=5)
    run_id = scheduler.enqueue("held", concurrency_key="k")
    step(scheduler)
    held.wait_running(1)
    world.clock.advance(5)
    run = scheduler.store.run

    def lose_the_answer(work: Callable[[Transaction], object]) -> None:
        run(work)
        monkeypatch.setattr(scheduler.store, "run", run)
        held.let_go()
        wait_until(lambda: not scheduler.in_flight())
        raise DatabaseUnavailable("the connection is gone")

    monkeypatch.setattr(scheduler.store, "run", lose_the_answer)
    with pytest.raises(DatabaseUnavailable):
        step(scheduler)
    assert occupied(scheduler) == [run_id]
    step(scheduler)
    assert (occupied(scheduler), scheduler.run(run_id).state) == ([], "failed")


def occupied(scheduler: Scheduler) -> list[str]:
    """Return the runs that occupy slots although they have ended."""
    with scheduler.store.read() as conn:
        return list(conn.execute(select(tables.run.c.id).where(tables.run.c.occupied)).scalars())


def _state(scheduler: Scheduler, run_id: str) -> str:
    step(scheduler)
    return scheduler.run(run_id).state


def test_rule_19_a_unique_key_is_held_until_the_function_starts(world: World) -> None:
    """A run with a unique key is never prefetched, however short the runs are."""
    scheduler = world.scheduler(queues={"default": 1})
    held = Held(scheduler)
    scheduler.task(name="quick")(lambda: None)
    for _ in range(100):  # the lane learns that runs are short, and claims ahead
        scheduler.enqueue("quick")
    scheduler.tick()
    blocking = scheduler.enqueue("held", priority=-1)
    step(scheduler)
    held.wait_running(1)
    first = scheduler.enqueue("quick", unique_key="report")
    kept = scheduler.enqueue("quick", unique_key="done", unique="until_done")
    step(scheduler)
    assert scheduler.run(first).state == "ready"
    assert scheduler.enqueue("quick", unique_key="report") == first
    assert scheduler.enqueue("quick", unique_key="done", unique="until_done") == kept
    held.let_go()
    for run_id in (blocking, first, kept):
        wait_until(lambda run_id=run_id: _state(scheduler, run_id) == "succeeded")  # type: ignore[misc]
    assert scheduler.enqueue("quick", unique_key="report") != first


def test_rule_19_the_key_is_free_while_the_function_runs(world: World) -> None:
    """A function can enqueue a run with its own key, which runs after it."""
    scheduler = world.scheduler()
    seen: list[str] = []

    @scheduler.task()
    def again(run: Run) -> None:
        if not seen:
            seen.append(run.id)
            seen.append(scheduler.enqueue("again", unique_key="a"))

    first = scheduler.enqueue(again, unique_key="a")
    scheduler.tick()
    assert seen[0] == first != seen[1]
    scheduler.tick()
    assert scheduler.run(seen[1]).state == "succeeded"


def test_rows_of_unused_keys_are_pruned(world: World) -> None:
    """Keys without runs leave no rows; a key with a limit keeps its row."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.set_limit("set", 5)
    for n in range(20):
        scheduler.enqueue("work", concurrency_key=f"c{n}")
    scheduler.tick()
    world.forward(scheduler, 700)
    with scheduler.store.read() as conn:
        assert conn.exec_driver_sql("select count(*) from duly_limit").scalar() == 1
    assert [limit.key for limit in scheduler.limits()] == ["set"]
