"""Options of a single call: its expiry, its retries, its timeout; and the awaitable form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from duly import Retry, Run, Scheduler, VirtualClock
from duly.errors import ConfigurationError
from tests.operations.conftest import after


@pytest.fixture
def attempts(scheduler: Scheduler) -> list[int]:
    """The attempts of ``flaky``, a task whose own options are 5 attempts a second apart."""
    made: list[int] = []

    @scheduler.task(retry=Retry(attempts=5, wait=1, jitter=0), expires=1000)
    def flaky(run: Run) -> None:
        made.append(run.attempt)
        raise RuntimeError("again")

    return made


def step(scheduler: Scheduler, clock: VirtualClock, times: int) -> None:
    for _ in range(times):
        scheduler.run_due()
        clock.advance(10)


def test_a_call_sets_its_own_retries(
    scheduler: Scheduler, clock: VirtualClock, attempts: list[int]
) -> None:
    """They replace those of the task, for this call only; 1 means that it is not retried."""
    for retry, expected in (
        (Retry(attempts=2, wait=1), 2),
        (1, 1),
        ({"attempts": 3}, 3),
        (None, 5),
    ):
        attempts.clear()
        run_id = scheduler.enqueue("flaky", retry=retry)
        step(scheduler, clock, 20)
        assert (len(attempts), scheduler.run(run_id).state) == (expected, "failed")


def test_a_call_expires(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Counted from the instant at which it may start; the task's own expiry is the default."""
    soon = scheduler.enqueue("work", expires=60)
    later = scheduler.enqueue("work", delay=100, expires=timedelta(seconds=60))
    many = scheduler.enqueue_many("work", [{"n": 1}, {"n": 2}], expires=60)
    never = scheduler.enqueue("work")
    clock.advance(110)
    scheduler.run_due()
    states = {run.id: run.state for run in scheduler.runs()}
    assert [states[run_id] for run_id in (soon, *many)] == ["missed"] * 3
    assert [states[run_id] for run_id in (later, never)] == ["succeeded"] * 2


def test_a_call_has_a_timeout(scheduler: Scheduler) -> None:
    """It is stored with the call, as that of a task is."""
    ids = scheduler.enqueue_many("work", [{}, {}], timeout=7, retry=2)
    ids.append(scheduler.enqueue("work", timeout=timedelta(seconds=7), retry=2))
    assert {scheduler.run(run_id).max_attempts for run_id in ids} == {2}
    with scheduler.store.read() as conn:
        found = conn.exec_driver_sql("SELECT policy FROM duly_run").scalars().all()
    assert all('"timeout":7' in str(policy) for policy in found)


@pytest.mark.parametrize(
    "options", [{"expires": 0}, {"timeout": True}, {"retry": "often"}, {"retry": 0}], ids=str
)
def test_a_wrong_option_of_a_call_is_refused(scheduler: Scheduler, options: Any) -> None:
    """As it is for a task; nothing is stored."""
    for call in (
        lambda: scheduler.enqueue("work", **options),
        lambda: scheduler.enqueue_many("work", [{}], **options),
    ):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            call()
    assert scheduler.runs() == []


def test_an_option_that_is_also_a_parameter_is_refused(scheduler: Scheduler) -> None:
    """It is not clear which is meant; ``args=`` always means the parameter."""

    @scheduler.task()
    def fetch(url: str, timeout: int = 5) -> int:
        return timeout

    with pytest.raises(
        ConfigurationError, match=r"timeout= is an option of enqueue and a parameter .*args=\{'tim"
    ):
        scheduler.enqueue(fetch, url="x", timeout=9)
    run_id = fetch.enqueue(args={"url": "x", "timeout": 9}, timeout=30)
    scheduler.run_due()
    assert scheduler.run(run_id).result == 9


async def test_a_task_is_enqueued_by_coroutines(scheduler: Scheduler, clock: VirtualClock) -> None:
    """``await send.aio.enqueue(…)`` takes what ``send.enqueue(…)`` takes."""

    @scheduler.task()
    def send(order: int) -> int:
        return order

    first = await send.aio.enqueue(order=3)
    second = await send.aio.enqueue(4, delay=5, unique_key="four")
    assert await send.aio.enqueue(args={"order": 5}, unique_key="four") == second
    assert scheduler.run(second).due_at == after(5)
    clock.advance(5)
    await scheduler.aio.run_due()
    assert [scheduler.run(run_id).result for run_id in (first, second)] == [3, 4]
