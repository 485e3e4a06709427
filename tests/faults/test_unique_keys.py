"""Unique keys: one live run of a key at a time, also when a run is started over."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import event

from duly import Scheduler
from duly.errors import StateError
from tests.worker.conftest import World
from tests.worker.internals import look_for_strays
from tests.worker.test_low_water import Claimant


def failed_run(world: World, **unique: Any) -> tuple[Scheduler, str]:
    """A run with the key ``k`` that has failed once; it succeeds when it is retried."""
    scheduler = world.scheduler()
    fails = [True]

    @scheduler.task()
    def work() -> None:
        if fails.pop() if fails else False:
            raise RuntimeError("the first attempt fails")

    run_id = scheduler.enqueue(work, unique_key="k", **unique)
    scheduler.tick()
    assert scheduler.run(run_id).state == "failed"
    return scheduler, run_id


def test_E06_a_retried_run_holds_its_key_again(world: World) -> None:
    """unique="until_done": while a run that was retried by hand lives, no second one is made."""
    scheduler, run_id = failed_run(world, unique="until_done")
    scheduler.retry(run_id)
    assert scheduler.enqueue("work", unique_key="k", unique="until_done") == run_id
    scheduler.tick()
    assert scheduler.run(run_id).state == "succeeded"
    assert scheduler.enqueue("work", unique_key="k", unique="until_done") != run_id


def test_E06_a_retry_names_the_run_that_holds_the_key(world: World) -> None:
    """A failed run is not retried beside another one of its key; the refusal names that run."""
    scheduler, run_id = failed_run(world, unique="until_done")
    holder = scheduler.enqueue("work", unique_key="k", unique="until_done")
    with pytest.raises(StateError, match=rf"'k'.*{holder}"):
        scheduler.retry(run_id)
    assert scheduler.run(run_id).state == "failed"
    scheduler.tick()
    scheduler.retry(run_id)
    scheduler.tick()
    assert scheduler.run(run_id).state == "succeeded"


def test_E06_a_key_that_ends_with_the_start_is_not_taken_again(world: World) -> None:
    """unique="until_start": the key was given up for good when the run first started."""
    scheduler, run_id = failed_run(world)
    other = scheduler.enqueue("work", unique_key="k")
    scheduler.retry(run_id)
    assert other != run_id
    scheduler.tick()
    assert {scheduler.run(one).state for one in (run_id, other)} == {"succeeded"}


def test_E06_two_threads_take_one_key_at_the_same_instant(world: World) -> None:
    """A call that is enqueued between the retry's look and its write holds the key."""
    scheduler, run_id = failed_run(world, unique="until_done")
    if not scheduler.store.dialect.many_writers:
        return  # one writer at a time: nothing can come between
    other = world.scheduler()
    other.task(name="work")(lambda: None)
    taken: list[str] = []

    def take(_conn: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if "UPDATE duly_run" in sql and "unique_key" in sql and not taken:
            thread = threading.Thread(
                target=lambda: taken.append(
                    other.enqueue("work", unique_key="k", unique="until_done")
                )
            )
            thread.start()
            thread.join(60)

    event.listen(scheduler.store.engine, "before_cursor_execute", take)
    with pytest.raises(StateError) as caught:
        scheduler.retry(run_id)
    event.remove(scheduler.store.engine, "before_cursor_execute", take)
    assert taken[0] in str(caught.value)
    assert scheduler.run(run_id).state == "failed"


class NeverStarted:
    """A run with the key ``k`` until it starts, which a worker has claimed and will not start."""

    def __init__(self, world: World) -> None:
        self.claimant = Claimant(world.scheduler())
        self.scheduler = self.claimant.scheduler
        self.run_id = self.enqueue()
        assert self.claimant.claim(1) == [self.run_id]

    def enqueue(self) -> str:
        return self.scheduler.enqueue("work", unique_key="k")

    def give_back(self) -> None:
        look_for_strays(self.scheduler)


def test_E06_a_run_that_never_started_takes_its_key_again(world: World) -> None:
    """Its claim released the key, as if it started; given back, it is as it was before."""
    given_back = NeverStarted(world)
    given_back.give_back()
    assert given_back.scheduler.run(given_back.run_id).state == "ready"
    assert given_back.enqueue() == given_back.run_id
    given_back.scheduler.tick()
    assert given_back.scheduler.run(given_back.run_id).state == "succeeded"
    assert given_back.enqueue() != given_back.run_id


def test_E06_a_run_whose_key_was_taken_before_it_started_is_replaced(world: World) -> None:
    """The newer run executes, and the reason of the older one names it: one unstarted run a key."""
    given_back = NeverStarted(world)
    newer = given_back.enqueue()
    assert newer != given_back.run_id
    given_back.give_back()
    older = given_back.scheduler.run(given_back.run_id)
    assert older.state == "cancelled"
    assert older.reason is not None
    assert newer in older.reason
    assert given_back.enqueue() == newer
    given_back.scheduler.tick()
    assert given_back.scheduler.run(newer).state == "succeeded"


def test_E06_of_two_claims_of_a_key_that_never_started_one_is_left(world: World) -> None:
    """Both were claimed by one worker, one after the other, and are given back together."""
    given_back = NeverStarted(world)
    second = given_back.enqueue()
    assert given_back.claimant.claim(1) == [second]
    given_back.give_back()
    found = {given_back.scheduler.run(one).state for one in (given_back.run_id, second)}
    assert found == {"ready", "cancelled"}


def test_E06_a_key_that_was_given_up_by_a_start_is_not_taken_by_a_later_claim(
    world: World,
) -> None:
    """A retried run that is given back before its second attempt was without its key before."""
    scheduler, run_id = failed_run(world)
    claimant = Claimant(world.scheduler())
    scheduler.retry(run_id)
    assert claimant.claim(1) == [run_id]
    look_for_strays(claimant.scheduler)
    assert scheduler.run(run_id).state == "ready"
    assert scheduler.enqueue("work", unique_key="k") != run_id
