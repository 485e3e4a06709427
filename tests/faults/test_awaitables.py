"""Functions that turn out to be coroutine functions only when they are called."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from duly import Run, Scheduler
from tests.support.waiting import wait_until
from tests.worker import process_tasks as tasks

DONE: list[str] = []


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    DONE.clear()
    made = Scheduler(prepared_sqlite_url)
    yield made
    made.stop(grace=0)


async def work() -> str:
    """Do something after the loop has had its turn."""
    await asyncio.sleep(0)
    DONE.append("done")
    return "result"


@functools.wraps(work)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    """What a decorator that knows nothing of coroutines makes of a coroutine function."""
    return work(*args, **kwargs)


class Query:
    """An object that acts when it is awaited, like the queries of some libraries."""

    def __await__(self) -> Any:
        return work().__await__()


async def forgotten() -> Awaitable[str]:
    """Forget an ``await``."""
    return work()


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(wrapped, id="a plain wrapper"),
        pytest.param(lambda: (work(),)[0], id="a lambda"),
        pytest.param(Query, id="an awaitable object"),
        pytest.param(forgotten, id="a forgotten await"),
        pytest.param(functools.partial(work), id="a partial function"),
    ],
)
def test_U09_an_awaitable_result_is_awaited(
    scheduler: Scheduler, function: Callable[..., Any]
) -> None:
    """The work is done before the run succeeds, and its result is the run's."""
    run_id = scheduler.enqueue(scheduler.task(name="work")(function))
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.result, DONE) == ("succeeded", "result", ["done"])


def test_U09_a_task_made_a_task_twice_is_awaited(scheduler: Scheduler) -> None:
    """A coroutine function stays one under any number of decorators."""
    task = scheduler.task(name="outer")(scheduler.task(name="inner")(work))
    run_id = scheduler.enqueue(task)
    scheduler.tick()
    assert (scheduler.run(run_id).result, DONE) == ("result", ["done"])


def test_U09_the_coroutine_belongs_to_its_run(scheduler: Scheduler) -> None:
    """It logs to its run, and a timeout or a cancellation ends it."""
    started = []

    async def endless(run: Run) -> None:
        run.log.info("here")
        started.append(run.id)
        await asyncio.Event().wait()

    run_id = scheduler.enqueue(plain(scheduler, endless))
    scheduler.start()
    wait_until(lambda: started)
    scheduler.cancel(run_id)
    wait_until(lambda: scheduler.run(run_id).state == "cancelled")
    wait_until(lambda: not scheduler.in_flight())
    assert [line.message for line in scheduler.run_log(run_id)] == ["here"]


def plain(scheduler: Scheduler, function: Callable[[Run], Any]) -> Any:
    def call(run: Run) -> Any:
        return function(run)

    return scheduler.task(name="work")(call)


def test_U09_an_asynchronous_generator_fails_its_run(scheduler: Scheduler) -> None:
    """Nothing iterates over it, so that nothing would be done; the error says what to write."""

    async def rows() -> AsyncIterator[int]:
        yield 1

    run_id = scheduler.enqueue(scheduler.task(name="work")(lambda: (rows(),)[0]))
    scheduler.tick()
    run = scheduler.run(run_id)
    assert run.state == "failed"
    assert "async for" in (run.error_message or "")


def test_U09_a_transactional_function_that_returns_a_coroutine_is_rolled_back(
    scheduler: Scheduler,
) -> None:
    """Its transaction is a synchronous one, so that a coroutine could not use it."""

    def charge(session: Session) -> Any:
        return work()

    run_id = scheduler.enqueue(scheduler.task(transactional=True)(charge))
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.error_type, DONE) == ("failed", "TransactionError", [])
    assert "async def" in (run.error_message or "")


@pytest.mark.processes
def test_U09_a_process_awaits_too(scheduler: Scheduler) -> None:
    """``executor="process"`` has an event loop for such a function."""
    run_id = scheduler.enqueue(scheduler.task(executor="process")(tasks.hidden_coroutine).name)
    scheduler.tick()
    assert scheduler.run(run_id).result == "awaited"
