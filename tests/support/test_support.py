"""The servers, databases and child processes that other tests rely on."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, text

from tests.support.postgresql import PostgresServer
from tests.support.processes import Children
from tests.support.session import session_folder
from tests.support.waiting import wait_until

APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<title>Up</title>"})
"""


def tables(url: str) -> list[str]:
    engine = create_engine(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


def answers(server: PostgresServer) -> bool:
    try:
        server.connect().close()
    except psycopg.OperationalError:
        return False
    return True


def make_table(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (id integer)"))
    engine.dispose()


class TestDatabases:
    @pytest.mark.parametrize("turn", [1, 2])
    def test_each_test_gets_an_empty_database(self, database_url: str, turn: int) -> None:
        """No test sees what another test has written."""
        assert tables(database_url) == []
        make_table(database_url)
        assert tables(database_url) == ["mine"]

    @pytest.mark.parametrize("turn", [1, 2])
    def test_each_test_gets_its_own_copy(self, prepared_database_url: str, turn: int) -> None:
        """A prepared database is a copy, and the template never changes."""
        assert "duly_job" in tables(prepared_database_url)
        assert "mine" not in tables(prepared_database_url)
        make_table(prepared_database_url)

    def test_postgresql_is_not_run_by_root(self, postgres: PostgresServer) -> None:
        """The server runs as an unprivileged user, or as the developer."""
        owner = Path(f"/proc/{postgres.pid}").stat().st_uid if Path("/proc/self").exists() else 1
        assert owner != 0

    @pytest.mark.server
    def test_a_private_server_survives_a_crash(self) -> None:
        """A test can start a server of its own, kill it and restart it with its data."""
        server = PostgresServer.create(session_folder() / f"own-{os.getpid()}")
        try:
            with server.connect() as connection:
                connection.execute("CREATE TABLE kept (id integer)")
            os.kill(server.pid, signal.SIGQUIT)
            wait_until(lambda: not answers(server), what="the server's end")
            server.start()
            with server.connect() as connection:
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        finally:
            server.stop()

    def test_the_server_is_in_an_unusual_time_zone(self, postgres: PostgresServer) -> None:
        """The server is not in UTC, so that no test passes only because of that."""
        with postgres.connect() as connection:
            row = connection.execute("SELECT now(), current_setting('TimeZone')").fetchone()
        assert row is not None
        assert row[1] == "Asia/Kathmandu"
        assert abs((row[0] - datetime.now(UTC)).total_seconds()) < 60


class TestChildren:
    def test_output_and_exit_code(self, children: Children) -> None:
        """A test can wait for a child's output and read its exit code."""
        child = children.python("-c", "print('hello'); raise SystemExit(3)")
        child.wait_for("^hello$")
        assert child.wait() == 3

    def test_a_child_that_ends_early_is_reported_with_its_output(self, children: Children) -> None:
        """Waiting for output fails as soon as the child has ended, and shows what it printed."""
        child = children.python("-c", "print('only this')")
        with pytest.raises(RuntimeError, match="only this"):
            child.wait_for("something else")

    def test_a_frozen_child_and_its_own_children_are_killed(self, tmp_path: Path) -> None:
        """No process that was started survives the test, not even a grandchild."""
        code = (
            "import subprocess, sys, time\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
            "print('grandchild', child.pid)\n"
            "time.sleep(60)"
        )
        with Children(tmp_path) as children:
            child = children.python("-c", code)
            grandchild = int(child.wait_for(r"grandchild (\d+)")[1])
            child.freeze()
        assert not child.running
        assert state(grandchild) in {"", "Z"}

    def test_a_web_server_answers_when_it_is_handed_over(
        self, children: Children, tmp_path: Path
    ) -> None:
        """A server answers as soon as the test receives it, even with two worker processes."""
        (tmp_path / "served.py").write_text(APP)
        for options in ([], ["--workers", "2"]):
            server = children.uvicorn("served:app", *options, "--app-dir", str(tmp_path))
            assert server.url.startswith("http://127.0.0.1:")
            assert server.terminate() in {0, -signal.SIGTERM}


def state(pid: int) -> str:
    """Return the state letter that ``ps`` shows for a process, or nothing if it has ended."""
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout[:1]
