"""Transactional coroutine functions: an AsyncSession, committed on the host's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from duly import Run, prepare_engine
from duly.errors import ConfigurationError
from duly.store.url import parse_async_url
from tests.worker.conftest import World
from tests.worker.transactions import ADD, Ledger, driver_of

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "psycopg": "postgresql+psycopg",
    "asyncpg": "postgresql+asyncpg",
}


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("psycopg", marks=pytest.mark.server),
        pytest.param("asyncpg", marks=pytest.mark.server),
    ]
)
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A world with a table for effects, on a URL with an asyncio driver."""
    kind = "sqlite" if request.param == "sqlite" else "postgresql"
    url = str(request.getfixturevalue(f"prepared_{kind}_url"))
    world = World(DRIVERS[request.param] + url[url.index(":") :])
    yield Ledger(world)
    world.close()


def test_the_effect_and_the_completion_are_one_commit(ledger: Ledger) -> None:
    """Duly's own session uses the host's driver."""
    seen: list[Any] = []

    @ledger.scheduler.task(transactional=True)
    async def charge(n: int, session: AsyncSession, run: Run) -> int:
        await session.execute(ADD, {"n": n})
        async with session.begin_nested():
            await session.execute(ADD, {"n": n + 1})
        await ledger.scheduler.aio.enqueue("mail", session=session)
        assert run.session() is session
        seen.append((ledger.effects(), ledger.scheduler.runs(task="mail")))
        return n

    ledger.scheduler.task(name="mail")(lambda: None)
    run = ledger.run("charge", n=7)
    assert seen == [([], [])]
    assert (run.state, run.result, ledger.effects()) == ("succeeded", 7, [7, 8])
    assert [held.state for held in ledger.scheduler.runs(task="mail")] == ["succeeded"]


async def test_it_runs_on_the_hosts_loop_with_the_hosts_engine(ledger: Ledger) -> None:
    """With ``transactional=async_sessionmaker(…)`` the pool is the host's; commits are awaited."""
    engine = prepare_engine(create_async_engine(parse_async_url(ledger.scheduler.store.given_url)))
    loops: list[asyncio.AbstractEventLoop] = []

    @ledger.scheduler.task(transactional=async_sessionmaker(engine))
    async def work(session: AsyncSession) -> None:
        loops.append(asyncio.get_running_loop())
        await session.execute(ADD, {"n": 1})

    run_id = await ledger.scheduler.aio.enqueue("work")
    await ledger.scheduler.aio.tick()
    assert ledger.scheduler.run(run_id).state == "succeeded"
    assert ledger.effects() == [1]
    assert loops == [asyncio.get_running_loop()]
    await engine.dispose()


def test_an_error_rolls_back(ledger: Ledger) -> None:
    """An error in a coroutine rolls its effect back, as in a plain function."""

    @ledger.scheduler.task(transactional=True)
    async def work(session: AsyncSession) -> None:
        await session.execute(ADD, {"n": 1})
        raise ValueError("no")

    run = ledger.run("work")
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "ValueError", [])


@pytest.mark.parametrize("how", ["commit", "rollback", "close", "statement"])
def test_rule_26_the_function_cannot_end_the_transaction(ledger: Ledger, how: str) -> None:
    """Every way to end it is refused on an ``AsyncSession``, too."""

    @ledger.scheduler.task(transactional=True)
    async def work(session: AsyncSession) -> None:
        await session.execute(ADD, {"n": 1})
        if how == "statement":
            await session.execute(text("COMMIT"))
        else:
            await getattr(session, how)()

    run = ledger.run("work")
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "TransactionError", [])


def test_rule_26_a_commit_behind_the_sessions_back_is_found(ledger: Ledger) -> None:
    """The worker's savepoint is missing at the end, so the run fails."""

    @ledger.scheduler.task(transactional=True)
    async def work(session: AsyncSession) -> None:
        await session.execute(ADD, {"n": 1})
        driver = driver_of(await (await session.connection()).run_sync(lambda conn: conn))
        await (driver.execute("COMMIT") if hasattr(driver, "execute") else driver.commit())

    run = ledger.run("work")
    assert (run.state, run.error_type) == ("failed", "TransactionError")
    assert "behind the session's back" in (run.error_message or "")


def test_a_cancelled_coroutine_leaves_nothing(ledger: Ledger) -> None:
    """The timeout interrupts it at an await, and its transaction is rolled back."""
    entered = asyncio.Event()

    @ledger.scheduler.task(transactional=True, timeout=3)
    async def work(session: AsyncSession) -> None:
        await session.execute(ADD, {"n": 1})
        ledger.world.clock.advance(3)
        entered.set()
        await asyncio.Event().wait()

    run = ledger.run("work")
    assert entered.is_set()
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "TimedOut", [])


def test_a_cancellation_during_the_commit_comes_too_late(ledger: Ledger) -> None:
    """The commit is awaited to its end: the run has succeeded and its effect is there."""

    @ledger.scheduler.task(transactional=True)
    async def work(session: AsyncSession) -> None:
        await session.execute(ADD, {"n": 1})
        task = asyncio.current_task()
        assert task is not None
        from sqlalchemy import event

        event.listen(session.sync_session, "after_flush", lambda *_: task.cancel())
        event.listen(session.sync_session, "before_commit", lambda *_: task.cancel())

    run = ledger.run("work")
    assert (run.state, ledger.effects()) == ("succeeded", [1])


def test_rule_26_on_sqlite_a_coroutine_has_a_time_limit(prepared_sqlite_url: str) -> None:
    """A coroutine that exceeds it is interrupted, and its transaction is rolled back."""
    world = World(prepared_sqlite_url)
    ledger = Ledger(world)
    ledger.scheduler.store.dialect.session_limit = 0.1

    @ledger.scheduler.task(transactional=True)
    async def work(session: AsyncSession) -> None:
        await session.execute(ADD, {"n": 1})
        await asyncio.Event().wait()

    run = ledger.run("work")
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "TransactionError", [])
    assert "only write lock for 0.1 s" in (run.error_message or "")
    world.close()


def test_without_an_asyncio_driver_the_error_names_them(
    prepared_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only runs that need an asyncio driver fail."""
    monkeypatch.setattr("duly.store.url.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match="install aiosqlite"):
        parse_async_url(prepared_sqlite_url)
    with pytest.raises(ConfigurationError, match="install asyncmy or aiomysql"):
        parse_async_url("mysql+pymysql://ana@host/x")
