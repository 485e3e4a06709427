"""The worker survives an unavailable database and reports its health."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from duly import Scheduler, every, prepare_engine
from duly.errors import DatabaseUnavailable, SchemaError
from tests.support.postgresql import PostgresServer
from tests.support.session import session_folder
from tests.support.waiting import wait_until


def test_starting_without_a_database_neither_blocks_nor_kills_the_host(tmp_path: Path) -> None:
    """The scheduler reports its trouble, and starts once the database is available."""
    folder = tmp_path / "later"
    scheduler = Scheduler(f"sqlite:///{folder / 'app.db'}", heartbeat="fast")

    @scheduler.job(every(seconds=1))
    def tick() -> None: ...

    scheduler.start()
    health = scheduler.health()
    assert (health.ok, health.database, health.engine) == (False, "unreachable", "starting")
    folder.mkdir()
    wait_until(lambda: scheduler.health().ok)
    wait_until(lambda: scheduler.runs(job="tick", state="succeeded"))
    scheduler.stop()


def test_start_required_raises(tmp_path: Path) -> None:
    """A host may require that the scheduler starts."""
    scheduler = Scheduler(f"sqlite:///{tmp_path / 'no' / 'app.db'}", start="required")
    with pytest.raises(DatabaseUnavailable, match="does not exist; create it"):
        scheduler.start()


@pytest.mark.server
def test_a_server_restart_is_survived() -> None:
    """After PostgreSQL restarts under a running scheduler, jobs continue."""
    server = PostgresServer.create(session_folder() / "restarted")
    try:
        scheduler = Scheduler(server.url(), heartbeat="fast")

        @scheduler.job(every(seconds=1))
        def tick() -> None: ...

        scheduler.start()
        wait_until(lambda: scheduler.runs(job="tick", state="succeeded"))
        server.stop()
        wait_until(lambda: not scheduler.health().ok)
        server.start()
        wait_until(lambda: scheduler.health().ok)
        seen = scheduler.runs(job="tick", limit=1)[0].id
        wait_until(lambda: scheduler.runs(job="tick", limit=1)[0].id > seen)
        scheduler.stop()
    finally:
        server.stop()


def test_ten_restarts_leave_one_job_that_was_not_pushed_back(prepared_database_url: str) -> None:
    """Ten processes declare the same job: there is one row, and its next fire does not move."""
    due = None
    for _ in range(10):
        scheduler = Scheduler(prepared_database_url)

        @scheduler.job(every(hours=1))
        def hourly() -> None: ...

        scheduler.start()
        (job,) = scheduler.jobs()
        due = due or job.next_fire_at
        assert (job.id, job.next_fire_at, job.revision) == ("hourly", due, 1)
        scheduler.stop()


def test_the_first_use_inside_an_open_sqlite_transaction_says_what_to_do(sqlite_url: str) -> None:
    """The caller holds SQLite's only write lock, so the error says that no table can be created."""
    engine = prepare_engine(create_engine(sqlite_url))
    scheduler = Scheduler(sqlite_url)
    scheduler.task(name="work")(lambda: None)
    with engine.begin() as conn, pytest.raises(SchemaError, match=r"scheduler\.prepare\(\)"):
        scheduler.enqueue("work", session=conn)
    scheduler.prepare()
    again = Scheduler(sqlite_url)
    again.task(name="work")(lambda: None)
    with engine.begin() as conn:
        run_id = again.enqueue("work", session=conn)
    assert scheduler.run(run_id).state == "ready"
    engine.dispose()
