"""Watch rules: alarms for jobs that are late, failing or slow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from duly import Scheduler, Watch, at, every
from duly.errors import ConfigurationError
from tests.worker.conftest import World


def alarms(scheduler: Scheduler, job: str = "job") -> list[tuple[str, str]]:
    """Return the alarms of a job, oldest first."""
    kinds = ("run.late", "run.overrun", "job.failing", "job.recovered")
    events = scheduler.events(job=job, limit=1000)
    return [(e.kind, str(e.detail.get("reason", ""))) for e in events if e.kind in kinds]


def test_a_job_that_does_not_fire_is_late_once_and_recovers(world: World) -> None:
    """The alarm is raised once, however often it is checked; the next timely run ends it."""
    works, watches = world.scheduler(), world.scheduler(queues={"other": 1})
    for scheduler in (works, watches):
        scheduler.task(name="nothing")(lambda: None)
    works.add("nothing", every(seconds=60), id="job", watch=Watch(late_after=20))
    works.tick()
    world.forward(watches, 60)  # fired, but nobody serves its queue
    for _ in range(10):
        world.forward(watches, 5)
    assert [kind for kind, _ in alarms(works)] == ["run.late"]
    assert "not started" in alarms(works)[0][1]
    works.tick()
    world.forward(works, 6)
    assert [kind for kind, _ in alarms(works)] == ["run.late", "job.recovered"]


def test_a_job_without_a_success_is_late(world: World) -> None:
    """A job that fires but always fails is late."""
    scheduler = world.scheduler()
    fails = [True]

    @scheduler.task(name="work")
    def work() -> None:
        if fails[0]:
            raise RuntimeError("no")

    scheduler.add(work, every(seconds=10), id="job", watch=60)
    scheduler.tick()
    for _ in range(8):
        world.forward(scheduler, 10)
    kinds = alarms(scheduler)
    assert [kind for kind, _ in kinds] == ["run.late"]
    assert "no success yet" in kinds[0][1]
    fails[0] = False
    for _ in range(3):
        world.forward(scheduler, 20)
    assert [kind for kind, _ in alarms(scheduler)] == ["run.late", "job.recovered"]


def test_failures_in_a_row_are_failing(world: World) -> None:
    """The alarm is raised at the declared number of failures, not earlier."""
    scheduler = world.scheduler()

    @scheduler.task(name="work")
    def work() -> None:
        raise RuntimeError("no")

    scheduler.add(work, every(seconds=70), id="job", watch=Watch(failing_after=3))
    scheduler.tick()
    seen = []
    world.forward(scheduler, 10)
    for _ in range(4):
        world.forward(scheduler, 60)
        world.forward(scheduler, 10)
        seen.append([kind for kind, _ in alarms(scheduler)])
    assert seen == [[], [], ["job.failing"], ["job.failing"]]


def test_a_run_that_takes_too_long_is_an_overrun(world: World) -> None:
    """The alarm is raised while the function is still running."""
    works, watches = world.scheduler(), world.scheduler()
    seen: list[str] = []

    def long() -> None:
        for _ in range(8):
            world.clock.advance(2)
            watches.tick()
        seen.extend(kind for kind, _ in alarms(watches))

    for scheduler in (works, watches):
        scheduler.task(name="long")(long)
    works.add("long", at(world.clock.now()), id="job", watch=Watch(overrun_after=10))
    works.tick()
    assert seen == ["run.overrun"]


def test_a_paused_job_is_not_expected_to_do_anything(world: World) -> None:
    """After a resume it gets its full time again before it is late."""
    scheduler = world.scheduler()
    scheduler.task(name="nothing")(lambda: None)
    scheduler.add("nothing", every(seconds=30), id="job", watch=60, catch_up="none")
    scheduler.pause("job", reason="holidays")
    scheduler.tick()
    for _ in range(5):
        world.forward(scheduler, 60)
    scheduler.resume("job")
    world.forward(scheduler, 15)
    assert alarms(scheduler) == []


def test_watch_without_a_rule_is_refused() -> None:
    """It would look like protection without giving any."""
    with pytest.raises(ConfigurationError, match="expected_every"):
        Watch()


@pytest.fixture
def pinged() -> Iterator[tuple[str, threading.Semaphore]]:
    """A URL, and a semaphore that counts the calls to it."""
    calls = threading.Semaphore(0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            calls.release()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ping/1", calls
        server.shutdown()
        thread.join()


def test_each_success_calls_an_address(
    world: World, pinged: tuple[str, threading.Semaphore]
) -> None:
    """A success pings the URL, so that an outside monitor notices silence; a failure does not."""
    address, calls = pinged
    scheduler = world.scheduler()
    fails = [False]

    @scheduler.task(name="work", ping=address)
    def work() -> None:
        if fails[0]:
            raise RuntimeError("no")

    work.enqueue()
    scheduler.tick()
    assert calls.acquire(timeout=240)
    fails[0] = True
    work.enqueue()
    scheduler.tick()
    fails[0] = False
    work.enqueue()
    scheduler.tick()
    assert calls.acquire(timeout=240)
    assert not calls.acquire(blocking=False)


@pytest.mark.parametrize("address", ["ftp://example.org/", "file:///etc/passwd", "example.org", 5])
def test_a_ping_is_a_web_address(world: World, address: Any) -> None:
    """Any other kind of URL is refused."""
    with pytest.raises(ConfigurationError, match="ping"):
        world.scheduler().task(name="work", ping=address)(lambda: None)
