"""The search for slow work within transactions finds it, and nothing else."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from tests.apps.slow_work import SlowWork


@pytest.fixture(autouse=True)
def no_slow_work_in_transactions() -> None:
    """The tests here do it on purpose."""


def test_a_thread_that_sleeps_within_a_transaction_is_found(sqlite_url: str) -> None:
    """In it, not before or after it; the line is named."""
    engine = create_engine(sqlite_url)
    with SlowWork().watched() as slow_work:
        time.sleep(0.001)
        with engine.begin():
            time.sleep(0.001)
        time.sleep(0.001)
    engine.dispose()
    (found,) = slow_work.found
    assert found.startswith(f"time.sleep at {__file__}:")


async def test_a_task_that_waits_within_a_transaction_is_found(sqlite_url: str) -> None:
    """Another task that waits meanwhile holds nothing up."""
    engine = create_async_engine(sqlite_url.replace("sqlite:", "sqlite+aiosqlite:"))
    begun, done = asyncio.Event(), asyncio.Event()

    async def other() -> None:
        await begun.wait()
        await asyncio.to_thread(int)
        done.set()

    with SlowWork().watched() as slow_work:
        waiting = asyncio.create_task(other())
        async with engine.begin():
            begun.set()
            await done.wait()
            assert slow_work.found == []
            await asyncio.to_thread(int)
        await waiting
    await engine.dispose()
    assert [found.split(" at ")[0] for found in slow_work.found] == [
        "asyncio.to_thread",
        "BaseEventLoop.run_in_executor",
    ]
