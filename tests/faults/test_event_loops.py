"""Coroutine jobs on an event loop of the host that stands, is stopped, or is closed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.waiting import wait_until
from tests.worker.conftest import World, step


@pytest.fixture
def world(prepared_sqlite_url: str) -> Iterator[World]:
    """These tests do not depend on the database."""
    made = World(prepared_sqlite_url)
    yield made
    made.close()


class Host:
    """A host with an event loop on which one coroutine job waits for what never happens."""

    def __init__(self, world: World, kind: str = "coroutine") -> None:
        self.world, self.scheduler = world, world.scheduler()
        self.loop, self.entered, self.ended = asyncio.new_event_loop(), asyncio.Event(), [""]
        self.scheduler.attach(self.loop)

        async def work() -> None:
            self.entered.set()
            try:
                await asyncio.Event().wait()
            except BaseException as error:
                self.ended.append(type(error).__name__)
                raise

        def plain() -> Awaitable[None]:
            return work()

        self.scheduler.task(name="work")(work if kind == "coroutine" else plain)
        self.run_id = self.scheduler.enqueue("work")
        step(self.scheduler)
        self.loop.run_until_complete(asyncio.wait_for(self.entered.wait(), 60))

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass; the worker looks after its coroutines before and afterwards."""
        step(self.scheduler)
        self.world.clock.advance(seconds)
        step(self.scheduler)

    def problems(self) -> list[str]:
        return [
            problem.text
            for problem in self.scheduler.health().problems
            if problem.check == "event loop"
        ]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the loop on a thread of its own inside the block."""
        thread = threading.Thread(target=self.loop.run_forever)
        thread.start()
        wait_until(self.loop.is_running)
        try:
            yield
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            thread.join(60)


@pytest.fixture(params=["coroutine", "awaitable of a plain function"])
def host(world: World, request: pytest.FixtureRequest) -> Iterator[Host]:
    made = Host(world, request.param)
    yield made
    made.loop.close()


def test_U19_a_stopped_event_loop_is_a_problem_of_the_health(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """The runs that wait for it are counted, in the log too; that ends when the loop runs again."""
    host.pass_seconds(1)
    assert host.problems() == []
    with caplog.at_level(logging.WARNING, "duly"):
        host.pass_seconds(40)
    (text,) = host.problems()
    assert text == "the event loop of coroutine jobs has been stopped for 41 s; 1 run waits for it"
    health = host.scheduler.health()
    assert health.detail is not None
    assert health.detail.startswith(text)
    assert "the event loop of coroutine jobs has been stopped" in caplog.text
    with host.running():
        wait_until(lambda: host.problems() == [])


def test_U19_a_stop_gives_the_runs_of_a_stopped_event_loop_back(host: Host) -> None:
    """Their functions do not execute, so they may start elsewhere; the worker has signed off.

    Should the loop run again, they are cancelled at once.
    """
    host.scheduler.stop(grace=0)
    run = host.scheduler.run(host.run_id)
    assert (run.state, run.attempt, host.scheduler.workers()) == ("ready", 0, [])
    other = host.world.scheduler()
    other.task(name="work")(lambda: None)
    other.tick()
    assert other.run(host.run_id).state == "succeeded"
    assert host.ended == [""]
    with host.running():
        wait_until(lambda: host.ended == ["", "CancelledError"])
    assert other.run(host.run_id).state == "succeeded"
    assert host.scheduler.in_flight() == []


def test_U19_the_runs_of_a_closed_event_loop_end(host: Host) -> None:
    """Nothing can ever continue them, so they fail; later coroutines get another loop."""
    host.loop.close()

    def failed() -> bool:
        host.world.clock.advance(1)
        step(host.scheduler)
        return host.scheduler.run(host.run_id).state == "failed"

    wait_until(failed)
    assert host.scheduler.run(host.run_id).error_type == "CancelledError"

    @host.scheduler.task()
    async def later() -> None: ...

    run_id = host.scheduler.enqueue(later)
    host.scheduler.tick()
    assert host.scheduler.run(run_id).state == "succeeded"


def test_U19_an_event_loop_that_stands_is_a_problem_of_the_health(world: World) -> None:
    """Something blocks it, so that no coroutine continues; that is reported while it lasts."""
    host, standing, go_on = Host(world), threading.Event(), threading.Event()

    def stand() -> None:
        standing.set()
        go_on.wait(60)

    with host.running():
        host.loop.call_soon_threadsafe(stand)
        assert standing.wait(60)
        host.pass_seconds(15)
        (text,) = host.problems()
        assert "has not answered for 15 s; 1 run waits for it" in text
        assert not host.scheduler.health().ok
        go_on.set()
        wait_until(lambda: host.problems() == [])
        host.scheduler.skip_grace()
        host.scheduler.stop(grace=0)
        wait_until(lambda: host.scheduler.workers() == [])
    host.loop.close()


def test_U19_an_idle_event_loop_may_be_stopped(world: World) -> None:
    """A host that runs its loop now and then, while no coroutine waits, is not reported."""
    host = Host(world)
    with host.running():
        host.scheduler.cancel(host.run_id)
        host.pass_seconds(2)
        wait_until(lambda: not host.scheduler.in_flight())
    host.pass_seconds(60)
    assert host.problems() == []
    host.loop.close()
