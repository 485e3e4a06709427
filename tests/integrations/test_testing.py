"""`duly.testing`: what tests of an application can rely on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from duly import Discard, Retry, RetryAfter, Run, Scheduler, Snooze, cron, every, prepare_engine
from duly.errors import (
    ConfigurationError,
    LifecycleError,
    NaiveDatetimeError,
    RunFailed,
    SchemaError,
    UnknownTask,
)
from duly.testing import World, assert_enqueued, enqueued, make_run, testing

pytestmark = pytest.mark.filterwarnings("error")
START = datetime(2026, 3, 8, 6, 55, tzinfo=UTC)


class Shop:
    """A module-level scheduler with its tasks and jobs, and what they did."""

    def __init__(self, folder: Path) -> None:
        self.scheduler = scheduler = Scheduler(
            f"sqlite:///{folder / 'no-folder' / 'app.db'}", timezone="America/New_York"
        )
        self.done: list[tuple[str, datetime]] = []
        self.fails = 0

        @scheduler.job(every(hours=1), id="hourly")
        def hourly(run: Run) -> None:
            self.done.append(("hourly", run.now()))

        @scheduler.job(cron("0 3 * * *"), id="nightly")
        async def nightly(run: Run) -> None:
            await asyncio.sleep(0)
            self.done.append(("nightly", run.now()))

        @scheduler.job(after=["nightly"], id="report")
        def report(run: Run) -> None:
            self.done.append(("report", run.now()))

        @scheduler.task(retry=Retry(attempts=3, wait=30, jitter=0), timeout=60)
        def charge(order: int, run: Run) -> None:
            if self.fails:
                self.fails -= 1
                raise OSError(f"order {order} is refused")
            self.done.append((f"charge {order}", run.now()))

        @scheduler.task(queue="mail")
        async def send(order: int, on: datetime | None = None) -> int:
            await asyncio.sleep(0)
            self.done.append((f"send {order}", scheduler.clock.now()))
            return order

        self.charge, self.send = charge, send


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def world(shop: Shop) -> Iterator[World]:
    with testing(shop.scheduler, at="2026-03-08T06:55Z") as world:
        yield world


def test_what_is_due_runs_in_order_each_at_its_time(shop: Shop, world: World) -> None:
    """`advance` executes all due work on the way; New York has no 02:30 on this night."""
    shop.charge.enqueue(order=7)
    shop.send.enqueue(order=8, delay=1800)
    world.advance(hours=1, minutes=30)
    assert shop.done == [
        ("charge 7", START),
        ("nightly", START + timedelta(minutes=5)),
        ("report", START + timedelta(minutes=5)),
        ("send 8", START + timedelta(minutes=30)),
        ("hourly", START + timedelta(hours=1)),
    ]
    assert world.now() == START + timedelta(minutes=90)


def test_a_job_that_fires_very_often_is_named(
    shop: Shop, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An advance over a thousand due times takes seconds: a warning names the job and the cure."""
    monkeypatch.setattr("duly.testing.world.MANY_STEPS", 8)
    world.advance(hours=4)
    cure = r"belong to 'hourly'.*scheduler\.pause\('hourly'\)"
    with pytest.warns(UserWarning, match=cure) as seen:
        world.advance(hours=8)
    assert (len(seen), seen[0].filename) == (1, __file__)
    shop.scheduler.pause("hourly")
    world.advance(hours=8)


def test_a_duration_has_units(world: World) -> None:
    """As a number of seconds, as a timedelta, or by name; a wrong name is answered with all."""
    began = world.now()
    world.advance(timedelta(minutes=1), milliseconds=30_000)
    world.advance(30)
    assert world.now() == began + timedelta(minutes=2)
    with pytest.raises(ConfigurationError, match=r"advance\(day=…\) has no such unit.*'days'"):
        world.advance(day=1)


def test_advance_to_an_instant(shop: Shop, world: World) -> None:
    """Time may also advance to an instant; it never goes back."""
    world.advance(to="2026-03-08T07:00Z")
    assert [name for name, _ in shop.done] == ["nightly", "report"]
    with pytest.raises(ConfigurationError, match="go back"):
        world.advance(to=START)
    with pytest.raises(NaiveDatetimeError):
        world.advance(to="2026-03-09T00:00")
    with pytest.raises(ConfigurationError, match="not an instant"):
        world.advance(to="tomorrow")


def test_drain_executes_what_is_due_now_in_every_queue(shop: Shop, world: World) -> None:
    """`drain` lets no time pass; a queue that this process does not serve is executed too."""
    shop.send.enqueue(order=7)
    shop.send.enqueue(order=8, delay=1)
    world.drain()
    assert shop.done == [("send 7", START)]
    assert [run.args["order"] for run in enqueued()] == [8]


def test_no_thread_is_started(shop: Shop) -> None:
    """Neither `start`, nor functions, nor coroutine functions start a thread."""
    before = threading.enumerate()
    with testing(shop.scheduler) as world:
        shop.scheduler.start()
        shop.charge.enqueue(order=7)
        shop.send.enqueue(order=7)
        world.advance(days=1)
        assert threading.enumerate() == before
        shop.scheduler.stop()
        world.advance(hours=1)


def test_a_started_scheduler_says_that_it_runs(shop: Shop, world: World) -> None:
    """A health endpoint answers as in production, although nothing runs by itself."""
    assert not shop.scheduler.health().ok
    shop.scheduler.start()
    assert shop.scheduler.in_test
    assert (shop.scheduler.state, shop.scheduler.health().ok) == ("running", True)
    world.advance(days=3)
    assert shop.scheduler.health().ok
    shop.scheduler.stop()
    assert shop.scheduler.state == "stopped"


def test_a_failure_is_raised(shop: Shop, world: World) -> None:
    """The function's own exception reaches the test, also if the run will be retried."""
    shop.fails = 1
    run_id = shop.charge.enqueue(order=7)
    with pytest.raises(OSError, match="order 7 is refused") as raised:
        world.advance(hours=1)
    assert run_id in "".join(raised.value.__notes__)
    assert world.now() == START
    world.advance(seconds=30)
    assert shop.done == [("charge 7", START + timedelta(seconds=30))]


def test_failures_can_be_expected(shop: Shop, world: World) -> None:
    """Retries with their delays can be tested; an expected failure that is missing fails."""
    shop.fails = 2
    shop.charge.enqueue(order=7)
    with world.expecting(OSError) as errors:
        world.advance(minutes=2)
    assert [str(error) for error in errors] == ["order 7 is refused"] * 2
    assert shop.done == [("charge 7", START + timedelta(seconds=90))]
    wanted = "expected a run to fail with OSError"
    with pytest.raises(AssertionError, match=wanted), world.expecting(OSError):
        world.drain()
    shop.fails = 1
    shop.charge.enqueue(order=8)
    with pytest.raises(OSError, match="order 8"), world.expecting(ValueError):
        world.drain()


def test_a_failure_that_nothing_raised_ends_the_test(shop: Shop) -> None:
    """A run that failed inside a call of the application is raised when the block ends."""
    shop.fails = 1
    with pytest.raises(OSError, match="order 7"):
        swallow(shop)


def swallow(shop: Shop) -> None:
    with testing(shop.scheduler):
        shop.charge.enqueue(order=7)
        shop.scheduler.tick()


def test_signals_are_not_failures(shop: Shop, world: World) -> None:
    """`RetryAfter`, `Snooze` and `Discard` are not raised; using up all attempts is."""

    plans = [RetryAfter(10), Snooze(seconds=10), Discard("no")]

    @shop.scheduler.task(retry=3)
    def moody() -> None:
        raise plans.pop(0)

    moody.enqueue()
    world.advance(minutes=1)
    (run,) = shop.scheduler.runs(task="moody")
    assert (run.state, run.reason) == ("discarded", "no")

    @shop.scheduler.task()
    def again() -> None:
        raise RetryAfter(10)

    again.enqueue()
    with pytest.raises(RetryAfter):
        world.drain()


def test_a_timeout_acts_on_the_virtual_clock(shop: Shop, world: World) -> None:
    """A function that lets the clock of the test pass its timeout has timed out."""

    @shop.scheduler.task(timeout=60)
    def slow(seconds: float) -> None:
        world.clock.advance(seconds)

    in_time, late = slow.enqueue(seconds=59), slow.enqueue(seconds=61)
    with world.expecting(RunFailed) as errors:
        world.drain()
    assert str(errors[0]) == "TimedOut: took longer than its 60 s"
    assert shop.scheduler.run(in_time).state == "succeeded"
    assert shop.scheduler.run(late).state == "failed"


def test_what_is_enqueued_can_be_asserted(shop: Shop, world: World) -> None:
    """`assert_enqueued` compares Python values, and says what is enqueued instead."""
    shop.send.enqueue(order=7, on=START, delay=60)
    run = assert_enqueued(shop.send, args={"order": 7, "on": START})
    assert run.due_at == START + timedelta(seconds=60)
    assert assert_enqueued("send") == run == world.enqueued(shop.send)[0]
    with pytest.raises(AssertionError, match=r"no run of 'send' with \{'order': 8\}.*'order': 7"):
        assert_enqueued(shop.send, args={"order": 8})
    with pytest.raises(AssertionError, match="no run of 'charge' is enqueued; enqueued: send with"):
        assert_enqueued(shop.charge)
    with pytest.raises(UnknownTask):
        assert_enqueued("sned")
    world.advance(minutes=1)
    assert enqueued() == []


def test_outside_a_test_there_is_nothing_to_assert(shop: Shop) -> None:
    """The helpers say what is missing."""
    with pytest.raises(LifecycleError, match="no test is active"):
        assert_enqueued(shop.send)


def test_the_scheduler_is_restored(shop: Shop) -> None:
    """After the block, and after an exception in it, the scheduler is what it was."""
    scheduler, before = shop.scheduler, (shop.scheduler.store, shop.scheduler.clock)

    def check() -> None:
        assert (scheduler.store, scheduler.clock) == before
        assert (scheduler.state, scheduler.worker_id, scheduler.in_test) == ("stopped", None, False)
        assert scheduler.settings.heartbeat.lease == 60
        assert not Path(scheduler.store.url.database or "").exists()

    with testing(scheduler, at=START) as world:
        assert scheduler.clock is world.clock
        world.advance(hours=2)
    check()
    with pytest.raises(KeyError, match="mine"), testing(scheduler, at=START):
        raise KeyError("mine")
    check()


def test_each_test_begins_with_what_code_declares(shop: Shop) -> None:
    """Nothing is left from the previous test; declared jobs are there from the beginning."""
    for _test in range(2):
        with testing(shop.scheduler, at=START) as world:
            assert [job.id for job in shop.scheduler.jobs()] == ["hourly", "nightly", "report"]
            assert shop.scheduler.runs() == []
            shop.scheduler.add(shop.send, every(minutes=1), id="extra", args={"order": 1})
            world.advance(minutes=1)


def test_a_module_may_be_imported_during_a_test(shop: Shop) -> None:
    """What is declared in one test is declared in the next: a module is imported once."""
    with testing(shop.scheduler, at=START) as world:
        late = shop.scheduler.job(every(minutes=1), id="late")(lambda_free)
        world.advance(minutes=1)
    assert CALLS == ["late"]
    with testing(shop.scheduler, at=START) as world:
        late.enqueue()
        world.advance(minutes=1)
    assert CALLS == ["late"] * 3
    assert "late" in [definition.id for definition in shop.scheduler.declared()]


CALLS: list[str] = []


def lambda_free() -> None:
    CALLS.append("late")


def test_worlds_of_two_schedulers_can_be_nested(shop: Shop, tmp_path: Path) -> None:
    """Two schedulers can be tested at once; one scheduler cannot be in two worlds."""
    other = Shop(tmp_path)
    with testing(shop.scheduler, at=START) as outer, testing(other.scheduler, at=START) as inner:
        shop.send.enqueue(order=1)
        other.charge.enqueue(order=2)
        assert_enqueued(shop.send)
        assert_enqueued(other.charge)
        inner.drain()
        assert shop.done == []
        outer.drain()
        again = testing(shop.scheduler)
        with pytest.raises(LifecycleError, match="is active for the scheduler"):
            again.__enter__()
        assert shop.scheduler.in_test
    assert (shop.done[0][0], other.done[0][0]) == ("send 1", "charge 2")


def test_a_running_scheduler_is_refused(sqlite_url: str) -> None:
    """A test would take the database of a running scheduler away."""
    scheduler = Scheduler(sqlite_url)
    refused = pytest.raises(LifecycleError, match=r"call stop\(\) before")
    with scheduler.running(), refused, testing(scheduler):
        pass


def test_a_scheduler_without_a_url_has_a_database_in_a_test() -> None:
    """An application may set its database later; in a test that is ignored."""
    scheduler = Scheduler()
    scheduler.task("note")(lambda_free)
    with testing(scheduler) as world:
        scheduler.use_database("sqlite:///elsewhere.db")
        scheduler.enqueue("note")
        world.drain()
    assert not Path("elsewhere.db").exists()
    assert not scheduler.has_database


def test_a_function_may_enqueue_and_wait_for_nothing(shop: Shop, world: World) -> None:
    """What runs enqueue is executed too; endless loops and waiting for oneself are refused."""

    @shop.scheduler.task()
    def twice(n: int) -> None:
        if n:
            twice.enqueue(n=n - 1)

    twice.enqueue(n=2)
    world.drain()
    assert len(shop.scheduler.runs(task="twice", state="succeeded")) == 3

    @shop.scheduler.task()
    def impatient() -> None:
        world.drain()

    @shop.scheduler.task()
    def nested() -> str:
        return shop.scheduler.run_now("hourly", wait=5).state

    run_id = nested.enqueue()
    world.drain()
    assert shop.scheduler.run(run_id).result == "succeeded"

    impatient.enqueue()
    with pytest.raises(LifecycleError, match=r"world\.clock\.advance"):
        world.drain()


def test_a_call_that_waits_for_a_run_executes_it(shop: Shop, world: World) -> None:
    """`run_now(wait=…)` in an endpoint works without a worker."""
    assert shop.scheduler.run_now("hourly", wait=5).state == "succeeded"
    assert shop.done == [("hourly", START)]


def test_pings_are_not_sent(shop: Shop, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A test reaches no monitor of the production."""
    shop.scheduler.task("pinging", ping="http://127.0.0.1:9/ping")(lambda_free)
    before = threading.enumerate()
    shop.scheduler.enqueue("pinging")
    world.drain()
    assert threading.enumerate() == before


# ------------------------------------------------------------------------------- asyncio


async def test_an_asynchronous_test_awaits(shop: Shop) -> None:
    """Coroutine functions run on the loop of the test; the blocking forms are refused there."""
    loops = []

    @shop.scheduler.task()
    async def where() -> None:
        loops.append(asyncio.get_running_loop())

    with testing(shop.scheduler, at=START) as world:
        where.enqueue()
        with pytest.raises(LifecycleError, match=r"await world\.aio\.advance"):
            world.drain()
        await world.aio.drain()
        await shop.scheduler.aio.enqueue(shop.charge, order=7)
        await world.aio.advance(hours=1)
        shop.fails = 1
        await shop.scheduler.aio.enqueue(shop.charge, order=8)
        with world.expecting(OSError):
            await world.aio.advance(minutes=1)
    assert loops == [asyncio.get_running_loop()]
    names = [name for name, _ in shop.done]
    assert names == ["charge 7", "nightly", "report", "hourly", "charge 8"]


async def test_a_lifespan_starts_nothing(shop: Shop) -> None:
    """An application may enter the scheduler's lifespan in a test."""
    before = set(threading.enumerate())
    with testing(shop.scheduler, at=START) as world:
        async with shop.scheduler.lifespan():
            assert shop.scheduler.state == "running"
            await world.aio.advance(hours=1)
        assert len(shop.done) == 3
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert not names & {"duly-worker", "duly-heartbeat", "duly-loop", "duly-run-1"}


# ----------------------------------------------------------------------------- resources


class Pool:
    """Resources that note where they are open."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[asyncio.AbstractEventLoop]:
        self.seen.append("opened")
        yield asyncio.get_running_loop()
        self.seen.append("closed")

    def declare(self, scheduler: Scheduler) -> None:
        @scheduler.task("use")
        async def use(run: Run) -> None:
            self.seen.append(run.resources is asyncio.get_running_loop())


def test_resources_are_open_while_a_test_executes_runs(sqlite_url: str) -> None:
    """``resources=`` are entered on the loop of the coroutine functions, and left at the end."""
    pool = Pool()
    scheduler = Scheduler(sqlite_url, resources=pool.opened)
    pool.declare(scheduler)
    with testing(scheduler) as world:
        scheduler.enqueue("use")
        world.drain()
        scheduler.enqueue("use")
        world.drain()
    assert pool.seen == ["opened", True, True, "closed"]


async def test_resources_of_an_asynchronous_test(sqlite_url: str) -> None:
    """They are open on the test's own loop."""
    pool = Pool()
    scheduler = Scheduler(sqlite_url, resources=pool.opened)
    pool.declare(scheduler)
    with testing(scheduler) as world:
        scheduler.enqueue("use")
        await world.aio.drain()
    await asyncio.sleep(0)
    assert pool.seen[:2] == ["opened", True]
    for _step in range(10):
        await asyncio.sleep(0)
    assert pool.seen == ["opened", True, "closed"]


def test_resources_in_a_lifespan(sqlite_url: str) -> None:
    """A `TestClient` in its block has a loop in another thread, where everything happens."""
    pool = Pool()
    scheduler = Scheduler(sqlite_url, resources=pool.opened)
    pool.declare(scheduler)
    with testing(scheduler) as world, TestClient(FastAPI(lifespan=scheduler.lifespan)):
        scheduler.enqueue("use")
        world.drain()
    assert pool.seen == ["opened", True, "closed"]


# -------------------------------------------------------------------- the application's database


def test_calls_join_the_transactions_of_the_application(prepared_database_url: str) -> None:
    """With ``database=``, the application's sessions and the scheduler share one database."""
    scheduler = Scheduler("sqlite:///never.db")
    engine = prepare_engine(create_engine(prepared_database_url))
    done: list[int] = []

    @scheduler.task()
    def send(order: int) -> None:
        done.append(order)

    @scheduler.task(transactional=True)
    def charge(order: int, session: Session) -> None:
        session.execute(text("select 1"))
        done.append(-order)

    for _test in range(2):
        with testing(scheduler, database=prepared_database_url) as world:
            assert enqueued() == []
            with Session(engine) as session:
                send.enqueue(order=1, session=session)
                session.rollback()
                send.enqueue(order=2, session=session)
                charge.enqueue(order=2, session=session)
                session.commit()
            world.drain()
            send.enqueue(order=3, delay=10)
    assert done == [2, -2] * 2
    engine.dispose()


def test_a_session_of_another_database_is_refused(shop: Shop, sqlite_url: str) -> None:
    """The message names what is missing."""
    engine = create_engine(sqlite_url)
    refused = pytest.raises(SchemaError, match=r"testing\(…, database=…\)")
    with testing(shop.scheduler), Session(engine) as session, refused:
        shop.send.enqueue(order=1, session=session)
    engine.dispose()


def test_a_database_with_real_jobs_is_not_emptied(shop: Shop, prepared_database_url: str) -> None:
    """A URL of the production given by mistake loses nothing."""
    real = Scheduler(prepared_database_url)
    real.task("note")(lambda_free)
    run_id = real.enqueue("note")
    refused = pytest.raises(ConfigurationError, match="jobs or runs that no test has stored")
    with refused, testing(shop.scheduler, database=prepared_database_url):
        pass
    assert real.run(run_id).state == "ready"
    real.stop()
    real.store.dispose()


# ------------------------------------------------------------------------------ unit tests


def test_a_run_for_a_unit_test(caplog: pytest.LogCaptureFixture) -> None:
    """A function that takes a `Run` can be called with one that the test has made."""

    def work(n: int, run: Run) -> str:
        run.count(rows=n)
        run.progress(1, 2)
        run.log.warning("attempt %d of %d", run.attempt, run.max_attempts)
        return f"{run.cause} {run.scheduled_for or run.now():%H:%M} {run.cancelled}"

    run = make_run(attempt=2, max_attempts=3, now=START, cancelled=True)
    assert work(3, run) == "enqueue 06:55 True"
    assert dict(run.counters) == {"rows": 3}
    assert run.reported is not None
    assert caplog.messages == ["attempt 2 of 3"]
    run = make_run(job_id="nightly", scheduled_for=START, previous_success=START, session="mine")
    assert work(1, run) == "schedule 06:55 False"
    assert (run.previous_success, run.session(), run.attempt) == (START, "mine", 1)
    with pytest.raises(NaiveDatetimeError):
        make_run(now=datetime(2026, 1, 1))  # noqa: DTZ001 - it is refused
