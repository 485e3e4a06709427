"""Duly behind a real PgBouncer in transaction pooling mode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from duly import Scheduler, every
from tests.support.pgbouncer import pooled
from tests.support.postgresql import PostgresServer
from tests.support.waiting import wait_until


@pytest.fixture
def pooled_url(
    prepared_postgresql_url: str, postgres: PostgresServer, tmp_path: Path
) -> Iterator[str]:
    """The database through a pooler with three connections for all clients."""
    with pooled(prepared_postgresql_url, postgres, tmp_path) as url:
        yield url


def test_many_threads_share_three_connections(pooled_url: str) -> None:
    """Jobs fire, calls run, locks have their timeout, and no session state is left behind."""
    scheduler = Scheduler(pooled_url, pooler=True, queues={"default": 10})
    called: list[int] = []

    @scheduler.task()
    def call(n: int) -> None:
        called.append(n)

    scheduler.task(name="beat")(lambda: None)
    scheduler.add("beat", every(seconds=1), id="beat")
    with scheduler.running():
        threads = [
            threading.Thread(target=lambda k=k: [scheduler.enqueue("call", n=k) for _ in range(10)])
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: len(called) >= 80)
        wait_until(lambda: scheduler.runs(job="beat", state="succeeded"))
        assert scheduler.health().ok
    with scheduler.store.write() as tx:
        assert tx.conn.exec_driver_sql("show lock_timeout").scalar() == "5s"
        assert tx.conn.exec_driver_sql("select count(*) from pg_prepared_statements").scalar() == 0
    scheduler.store.dispose()
