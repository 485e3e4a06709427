"""What a function returns or raises decides the outcome of its run."""

from __future__ import annotations

import itertools
import logging
from datetime import timedelta
from typing import Any

import pytest

from duly import Discard, Event, Retry, RetryAfter, Run, Snooze, every
from tests.worker.conftest import World


def test_the_result_is_stored_as_json(world: World) -> None:
    """What a sync or async function returns can be read back."""
    scheduler = world.scheduler()

    @scheduler.task()
    def plain() -> dict[str, Any]:
        return {"n": 1, "when": world.clock.now()}

    @scheduler.task()
    async def coroutine() -> list[int]:
        return [1, 2]

    ids = [scheduler.enqueue(plain), scheduler.enqueue(coroutine)]
    scheduler.tick()
    assert scheduler.run(ids[0]).result == {"n": 1, "when": "2026-01-01T00:00:00Z"}
    assert scheduler.run(ids[1]).result == [1, 2]


def test_a_result_that_cannot_be_stored_does_not_fail_the_run(world: World) -> None:
    """The run succeeds and records that its result was not stored."""
    scheduler = world.scheduler()

    @scheduler.task()
    def strange() -> object:
        return object()

    @scheduler.task()
    def huge() -> str:
        return "x" * 100_000

    ids = [scheduler.enqueue(strange), scheduler.enqueue(huge)]
    scheduler.tick()
    for run_id in ids:
        run = scheduler.run(run_id)
        assert run.state == "succeeded"
        assert "not_stored" in run.result


def test_a_failure_keeps_its_error_and_traceback_and_waits_for_a_person(world: World) -> None:
    """Without a retry policy one error fails the run; a retry by hand runs it again."""
    scheduler = world.scheduler()
    broken = [True]

    @scheduler.task()
    def fragile() -> str:
        if broken[0]:
            raise ValueError("bad \x00 value")
        return "fine"

    run_id = scheduler.enqueue(fragile)
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.error_type, run.attempt) == ("failed", "ValueError", 1)
    (attempt,) = scheduler.attempts(run_id)
    assert attempt.traceback is not None
    assert "fragile" in attempt.traceback
    broken[0] = False
    scheduler.retry(run_id, actor="ana")
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.result, run.attempt, run.cause) == (
        "succeeded", "fine", 2, "retry_by_hand",
    )  # fmt: skip


def test_retries_wait_longer_each_time_and_then_the_run_fails(world: World) -> None:
    """After three attempts, 30 s and 60 s apart, the run fails; each attempt is recorded."""
    scheduler = world.scheduler()
    times = []

    @scheduler.task(retry=Retry(attempts=3, wait=30, factor=2, jitter=0))
    def fail() -> None:
        times.append(world.clock.now())
        raise RuntimeError("again")

    run_id = scheduler.enqueue(fail)
    scheduler.tick()
    for seconds in (29, 1, 59, 1, 600):
        world.forward(scheduler, seconds)
    assert [(b - a).total_seconds() for a, b in itertools.pairwise(times)] == [30, 60]
    assert scheduler.run(run_id).state == "failed"
    assert [attempt.attempt for attempt in scheduler.attempts(run_id)] == [1, 2, 3]


def test_retry_after_sets_the_wait_and_spends_attempts(world: World) -> None:
    """``RetryAfter(5)`` retries in five seconds while attempts are left."""
    scheduler = world.scheduler()

    @scheduler.task(retry=Retry(attempts=2, wait=999))
    def later() -> None:
        raise RetryAfter(5)

    run_id = scheduler.enqueue(later)
    scheduler.tick()
    assert scheduler.run(run_id).due_at == world.clock.now() + timedelta(seconds=5)
    world.forward(scheduler, 5)
    assert scheduler.run(run_id).state == "failed"


def test_snooze_costs_no_attempt(world: World) -> None:
    """A run may be snoozed any number of times and still has its one attempt."""
    scheduler = world.scheduler()
    naps = [3]

    @scheduler.task()
    def sleepy() -> str:
        if naps[0]:
            naps[0] -= 1
            raise Snooze(seconds=60)
        return "awake"

    run_id = scheduler.enqueue(sleepy)
    scheduler.tick()
    for _ in range(3):
        world.forward(scheduler, 60)
    run = scheduler.run(run_id)
    assert (run.state, run.result, run.attempt) == ("succeeded", "awake", 1)
    assert scheduler.attempts(run_id) == []


def test_discard_gives_up_without_a_retry(world: World) -> None:
    """``Discard(reason)`` ends the run at once and stores the reason."""
    scheduler = world.scheduler()

    @scheduler.task(retry=Retry(attempts=5))
    def useless() -> None:
        raise Discard("the customer is gone")

    run_id = scheduler.enqueue(useless)
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.reason, run.attempt) == ("discarded", "the customer is gone", 1)


def test_one_bad_item_does_not_stop_the_others(world: World) -> None:
    """`run.track` isolates each item, counts ok and failed, and drives the progress."""
    scheduler = world.scheduler()

    @scheduler.task()
    async def batch(run: Run) -> int:
        total = 0
        for item in run.track([1, 0, 2]):
            with item as number:
                total += 10 // number
        return total

    run_id = scheduler.enqueue(batch)
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.result) == ("succeeded", 15)
    assert run.counters == {"ok": 2, "failed": 1}
    assert run.progress is not None
    assert (run.progress.done, run.progress.total) == (3, 3)
    assert any("item 0 failed" in line.message for line in scheduler.run_log(run_id))


def test_logging_inside_a_run_is_kept_with_it_and_nothing_else_is(world: World) -> None:
    """Only this run's lines are stored, of any logger from INFO up, in threads and coroutines."""
    scheduler = world.scheduler()
    logger = logging.getLogger("app.work")
    logger.setLevel(logging.DEBUG)

    @scheduler.task()
    def talk(word: str) -> None:
        logger.info("say %s", word)
        logger.debug("not kept")

    @scheduler.task()
    async def talk_async(word: str) -> None:
        logger.warning("say %s", word)

    logger.info("outside")
    first = scheduler.enqueue(talk, word="one")
    second = scheduler.enqueue(talk_async, word="two\x00")
    scheduler.tick()
    assert [(line.level, line.message) for line in scheduler.run_log(first)] == [
        ("INFO", "say one")
    ]
    assert [line.message for line in scheduler.run_log(second)] == ["say two␀"]


def test_a_run_knows_its_nominal_time_and_the_last_success(world: World) -> None:
    """``Run`` has the nominal time, and when its job last succeeded."""
    scheduler = world.scheduler()
    seen: list[tuple[Any, ...]] = []

    @scheduler.job(every(seconds=10), id="j")
    def look(run: Run) -> None:
        seen.append((run.scheduled_for, run.attempt, run.cause, run.previous_success))

    scheduler.tick()
    world.forward(scheduler, 10)
    first = world.clock.now()
    world.forward(scheduler, 10)
    second = world.clock.now()
    assert seen == [(first, 1, "schedule", None), (second, 1, "schedule", first)]


def test_an_unknown_task_waits_for_a_worker_that_knows_it(world: World) -> None:
    """During a rolling deploy old workers leave runs of new tasks alone."""
    old, new = world.scheduler(), world.scheduler()

    @new.task()
    def fresh() -> str:
        return "done"

    run_id = new.enqueue(fresh)
    old.tick()
    assert old.run(run_id).state == "ready"
    new.tick()
    assert new.run(run_id).state == "succeeded"


def test_arguments_that_no_longer_fit_fail_the_run_without_retry(world: World) -> None:
    """After a deploy that changed the signature the run fails and names what does not fit."""
    old, new = world.scheduler(), world.scheduler()

    @old.task(name="work")
    def before(n: int) -> None: ...

    @new.task(name="work", retry=Retry(attempts=5))
    def after(number: int) -> None: ...

    run_id = old.enqueue(before, n=1)
    new.tick()
    run = new.run(run_id)
    assert (run.state, run.attempt) == ("failed", 1)
    assert "number: is missing" in (run.error_message or "")


def test_failures_in_a_row_are_counted_and_a_success_ends_them(world: World) -> None:
    """The job's record shows how many runs in a row have failed."""
    scheduler = world.scheduler()
    broken = [True]

    @scheduler.job(every(seconds=10), id="j")
    def fragile() -> None:
        if broken[0]:
            raise RuntimeError("no")

    scheduler.tick()
    for _ in range(3):
        world.forward(scheduler, 10)
    assert scheduler.job("j").consecutive_failures == 3
    broken[0] = False
    world.forward(scheduler, 10)
    assert scheduler.job("j").consecutive_failures == 0


def test_listeners_are_called_after_the_commit_and_cannot_break_anything(world: World) -> None:
    """A listener sees the stored state; one that raises stops neither others nor the engine."""
    scheduler = world.scheduler()
    heard: list[tuple[str, str]] = []

    @scheduler.task()
    def work() -> None: ...

    def broken(event: Event) -> None:
        raise RuntimeError("listener")

    def listen(event: Event) -> None:
        assert event.run_id is not None
        heard.append((event.kind, scheduler.run(event.run_id).state))

    scheduler.on("*", broken)
    scheduler.on("run.started", listen)
    scheduler.on("run.succeeded", listen)
    scheduler.enqueue(work)
    scheduler.tick()
    assert heard == [("run.started", "running"), ("run.succeeded", "succeeded")]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_around_is_entered_for_every_run(world: World, kind: str) -> None:
    """A host's context manager surrounds the function, in the same thread or task."""
    from collections.abc import Iterator
    from contextlib import contextmanager

    scheduler = world.scheduler()
    trail: list[str] = []

    @contextmanager
    def surround(run: Run) -> Iterator[None]:
        trail.append(f"enter {run.task}")
        yield
        trail.append("leave")

    if kind == "sync":

        @scheduler.task(name="work")
        def work() -> None:
            trail.append("work")
    else:

        @scheduler.task(name="work")
        async def work() -> None:
            trail.append("work")

    scheduler.around(surround)
    scheduler.enqueue("work")
    scheduler.tick()
    assert trail == ["enter work", "work", "leave"]
