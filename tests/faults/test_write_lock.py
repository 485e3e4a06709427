"""SQLite has one write lock: who holds it for long is reported, with the line that took it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from duly import Scheduler, VirtualClock, prepare_engine
from duly.errors import ConfigurationError
from duly.store.dialects import sqlite_writers
from tests.operations.conftest import with_tasks

READ = text("select 1")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """The clock that measures transactions."""
    clock = VirtualClock()
    monkeypatch.setattr(sqlite_writers, "CLOCK", clock)
    return clock


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A prepared engine of the host's."""
    made = prepare_engine(create_engine(f"sqlite:///{tmp_path}/app.db"))
    yield made
    made.dispose()


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The messages of `duly.store`, which are all warnings."""
    records = [record for record in caplog.records if record.name == "duly.store"]
    assert {record.levelno for record in records} <= {logging.WARNING}
    return [record.getMessage() for record in records]


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_S02_a_long_write_transaction_is_reported_with_its_line(
    engine: Engine, clock: VirtualClock, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    """One warning names how long all others waited, and the function that is to be repaired."""

    def register(session: Session) -> None:
        session.execute(READ)
        clock.advance(30.2)

    with Session(engine) as session:
        register(session)
        getattr(session, end)()
    (message,) = reported(caplog)
    assert "A write transaction on app.db was open for 30.2 s" in message
    assert f"It began at {__file__}:" in message
    assert "register. Do slow work" in message


def test_S02_an_asyncio_session_is_reported_with_the_line_that_awaits(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its statements run elsewhere; the reported line is the coroutine's."""
    engine = prepare_engine(create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/app.db"))

    async def register() -> None:
        async with AsyncSession(engine) as session:
            await session.execute(READ)
            clock.advance(6)
            await session.commit()
        await engine.dispose()

    asyncio.run(register())
    (message,) = reported(caplog)
    assert f"It began at {__file__}:" in message
    assert "register. Do slow work" in message


def test_S02_a_transaction_of_dulys_own_is_reported_too(
    prepared_sqlite_url: str, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The reported line is the caller's of the scheduler, or Duly's own in its threads."""
    scheduler = with_tasks(Scheduler(prepared_sqlite_url, clock=VirtualClock()))
    scheduler.prepare()

    with scheduler.store.write():
        clock.advance(6)
    scheduler.stop()
    scheduler.store.dispose()
    (message,) = reported(caplog)
    assert f"It began at {__file__}:" in message


def test_S02_a_connection_that_is_gone_can_be_rolled_back(
    engine: Engine, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The report must not stand in the way of a host that discards a broken connection."""
    with Session(engine) as session:
        session.execute(READ)
        clock.advance(60)
        session.invalidate()
        session.execute(READ)
        session.connection().invalidate()
        session.rollback()
    assert reported(caplog) == []


def _short(engine: Engine, clock: VirtualClock) -> None:
    with engine.begin():
        clock.advance(5)


def _reads(engine: Engine, clock: VirtualClock) -> None:
    with engine.execution_options(duly_read_only=True).begin() as conn:
        conn.execute(READ)
        clock.advance(60)


def _autocommit(engine: Engine, clock: VirtualClock) -> None:
    with engine.execution_options(isolation_level="AUTOCOMMIT").begin() as conn:
        conn.execute(READ)
        clock.advance(60)


def _between(engine: Engine, clock: VirtualClock) -> None:
    with engine.connect() as conn:
        for _ in range(3):
            conn.execute(READ)
            conn.commit()
            clock.advance(60)


@pytest.mark.parametrize("act", [_short, _reads, _autocommit, _between])
def test_S02_what_holds_no_lock_for_long_is_not_reported(
    engine: Engine,
    clock: VirtualClock,
    caplog: pytest.LogCaptureFixture,
    act: Callable[[Engine, VirtualClock], None],
) -> None:
    """A short transaction, one that only reads, AUTOCOMMIT, and the time between transactions."""
    act(engine, clock)
    assert reported(caplog) == []


@pytest.mark.parametrize(("limit", "count"), [(0.5, 1), (90, 0), (None, 0)])
def test_S02_the_limit_is_the_hosts(
    tmp_path: Path,
    clock: VirtualClock,
    caplog: pytest.LogCaptureFixture,
    limit: float | None,
    count: int,
) -> None:
    """``prepare_engine(engine, warn_after=…)`` in seconds; ``None`` switches the report off."""
    engine = prepare_engine(create_engine(f"sqlite:///{tmp_path}/app.db"), warn_after=limit)
    with engine.begin():
        clock.advance(60)
    engine.dispose()
    assert len(reported(caplog)) == count


def test_S02_a_negative_limit_is_refused(tmp_path: Path) -> None:
    """On every database, so that a host finds it before it changes to SQLite."""
    for url in (f"sqlite:///{tmp_path}/app.db", "postgresql+psycopg://nobody@127.0.0.1:1/x"):
        with pytest.raises(ConfigurationError, match="warn_after"):
            prepare_engine(create_engine(url), warn_after=-1)
