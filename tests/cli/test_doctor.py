"""``duly doctor`` finds each problem that it checks for; the tests cause them for real."""

from __future__ import annotations

import importlib.metadata
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from duly import Scheduler, VirtualClock, cron, every
from duly.model.finding import Finding
from duly.model.zone_data import tzdb_version
from duly.store import tables
from duly.store.dialects import mariadb_examination, postgresql_examination, sqlite_examination

pytestmark = pytest.mark.timeout(600)
APP = """
from duly import Scheduler, every
scheduler = Scheduler({url!r})

@scheduler.job(every(hours=1))
def beat() -> None: ...
"""
CALL = "from duly.cli.main import main; main(prog_name='duly')"


class Patient:
    """A database, a scheduler on it with a clock of its own, and its findings."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = VirtualClock()
        self._made: list[Scheduler] = []
        self.scheduler = self.another()

    def another(self, **options) -> Scheduler:
        self._made.append(Scheduler(self.url, clock=self.clock, **options))
        return self._made[-1]

    def sql(self, statement: str) -> None:
        with self.scheduler.store.engine.begin() as conn:
            conn.execute(text(statement))

    def found(self, check: str, scheduler: Scheduler | None = None) -> Finding:
        (held,) = [one for one in (scheduler or self.scheduler).examine() if one.check == check]
        return held

    def close(self) -> None:
        for made in self._made:
            made.stop(grace=0)
            made.store.dispose()


def opened(url: str) -> Iterator[Patient]:
    made = Patient(url)
    yield made
    made.close()


@pytest.fixture
def patient(prepared_database_url: str) -> Iterator[Patient]:
    yield from opened(prepared_database_url)


@pytest.fixture
def on_sqlite(prepared_sqlite_url: str) -> Iterator[Patient]:
    yield from opened(prepared_sqlite_url)


@pytest.fixture
def on_postgresql(prepared_postgresql_url: str) -> Iterator[Patient]:
    yield from opened(prepared_postgresql_url)


@pytest.fixture
def on_mariadb(prepared_mariadb_url: str) -> Iterator[Patient]:
    yield from opened(prepared_mariadb_url)


def nothing() -> None:
    """A task."""


# ---------------------------------------------------------------------------- the command


@pytest.mark.processes
def test_a_healthy_application_has_no_problem(prepared_database_url: str, tmp_path: Path) -> None:
    """A healthy application ends with exit code 0 and one line per check; nothing is written."""
    done = duly(tmp_path, prepared_database_url, "doctor", "jobs:scheduler")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "warning"}
    checks = {line[9:].partition(":")[0] for line in lines}
    assert checks >= {"database", "clock", "tables", "indexes", "time zones", "tasks", "triggers"}
    made = Scheduler(prepared_database_url)
    assert made.jobs() == []
    made.store.dispose()


@pytest.mark.processes
def test_a_problem_is_exit_code_1(prepared_sqlite_url: str, tmp_path: Path) -> None:
    """The JSON has each check, its result and the advice."""
    with sqlite3.connect(tmp_path / "duly.db") as conn:
        conn.execute("drop index duly_run_ready")
    conn.close()
    done = duly(tmp_path, prepared_sqlite_url, "doctor", "--json", "jobs:scheduler")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    (problem,) = [one for one in told["checks"] if one["level"] == "problem"]
    assert told["ok"] is False
    assert problem["check"] == "indexes"
    assert "CREATE INDEX duly_run_ready" in problem["advice"]


@pytest.mark.processes
def test_an_unreachable_database_is_a_problem(tmp_path: Path) -> None:
    """An unreachable database ends with exit code 1 and one line instead of a traceback."""
    done = duly(tmp_path, f"sqlite:///{tmp_path}/nowhere/app.db", "doctor", "jobs:scheduler")
    assert done.returncode == 1
    assert done.stdout.startswith("problem  database: ")
    assert "does not exist; create it" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def duly(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the command in a folder with an application on a database."""
    (folder / "jobs.py").write_text(APP.format(url=url))
    return subprocess.run(
        [sys.executable, "-c", CALL, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip


# ------------------------------------------------------------------------- every database


def test_a_missing_index_is_found_and_the_advice_restores_it(patient: Patient) -> None:
    """The finding has the index's name and the statement that creates it on this database."""
    index = next(held for held in tables.run.indexes if held.name == "duly_run_ready")
    index.drop(patient.scheduler.store.engine)
    held = patient.found("indexes")
    assert (held.level, held.text) == ("problem", "missing: duly_run_ready")
    assert held.advice is not None
    partial = patient.scheduler.store.dialect.name != "mysql"
    assert held.advice.endswith("WHERE state = 'ready'") is partial
    patient.sql(held.advice.removeprefix("create them again: "))
    assert patient.found("indexes").level == "ok"


def test_a_missing_table_is_found(patient: Patient) -> None:
    """A partially restored backup is reported."""
    tables.calendar.drop(patient.scheduler.store.engine)
    assert patient.found("tables").text == "missing: duly_calendar"
    assert patient.found("tables").level == "problem"


@pytest.mark.parametrize(("version", "level"), [("0000", "warning"), ("9999", "problem")])
def test_tables_of_another_version(patient: Patient, version: str, level: str) -> None:
    """Older ones are migrated at the next start; newer ones need a newer Duly."""
    patient.sql(f"update duly_version set version_num = '{version}'")
    assert patient.found("tables").level == level


def test_a_new_database_is_only_a_warning(database_url: str) -> None:
    """Checking a new database creates nothing."""
    for patient in opened(database_url):
        for _again in range(2):
            assert patient.found("tables").level == "warning"
        assert "problem" not in {one.level for one in patient.scheduler.examine()}


def test_workers_are_counted_by_release(patient: Patient) -> None:
    """During a deployment, the finding shows how many processes run each version."""
    assert patient.found("workers").text == "no workers"
    for version in ("1.4.1", "1.4.2", "1.4.2"):
        patient.another(version=version).tick()
    patient.another(name="mails").tick()
    held, duly = patient.found("workers"), f"Duly {importlib.metadata.version('duly')}"
    assert held.level == "ok"
    assert held.text == (
        f"4 workers: default 1.4.1, {duly} (1), default 1.4.2, {duly} (2),"
        f" mails without a version, {duly} (1)"
    )


def test_a_job_whose_task_is_not_registered_is_a_problem(patient: Patient) -> None:
    """Only jobs of this application are reported, not those of others."""
    patient.scheduler.job(every(hours=1), id="orphan")(nothing)
    patient.scheduler.tick()
    later, other = patient.another(), patient.another(name="other")
    held = patient.found("tasks", later)
    assert held.level == "problem"
    assert "orphan (task nothing)" in held.text
    assert patient.found("tasks", other).level == "ok"
    assert "of default" in patient.found("tasks", other).text
    assert patient.found("tasks").level == "ok"


def test_a_waiting_run_of_an_unknown_task_is_found(patient: Patient) -> None:
    """Another application may execute it, but no worker with this code."""
    patient.scheduler.task()(nothing)
    patient.scheduler.enqueue("nothing")
    patient.scheduler.enqueue("nothing", delay=3600)
    held = patient.found("waiting runs", patient.another())
    assert held.level == "warning"
    assert "nothing (2)" in held.text
    assert patient.found("waiting runs").level == "ok"


def test_an_unreadable_job_is_found(patient: Patient) -> None:
    """An unreadable job is found before any worker has marked it."""
    patient.scheduler.job(every(hours=1), id="damaged")(nothing)
    patient.scheduler.tick()
    patient.sql("""update duly_job set "trigger" = '{"kind":"lunar"}'""".replace(
        '"trigger"', patient.scheduler.store.engine.dialect.identifier_preparer.quote("trigger")
    ))  # fmt: skip
    held = patient.found("definitions")
    assert held.level == "problem"
    assert "damaged" in held.text
    assert "lunar" in held.text


def test_a_wrong_clock_is_found(patient: Patient) -> None:
    """The clock is compared with the database's, if the database has one."""
    held = patient.found("clock")
    shared = patient.scheduler.store.dialect.has_server_clock
    assert held.level == ("warning" if shared else "ok")
    assert ("behind the database" in held.text) is shared


def test_differing_time_zone_databases_are_found(patient: Patient) -> None:
    """The finding names the version of this process and those of other workers."""
    patient.scheduler.tick()
    assert patient.found("time zones").level == "ok"
    assert tzdb_version() in patient.found("time zones").text
    patient.sql("update duly_worker set tzdb = '2001a'")
    held = patient.found("time zones")
    assert held.level == "warning"
    assert "workers have 2001a" in held.text


def test_a_surprising_trigger_is_found(patient: Patient) -> None:
    """A trigger at 02:30 is reported, because one day of the year has no such time."""
    patient.scheduler.job(cron("30 2 * * *", tz="Europe/Madrid"), id="nightly")(nothing)
    patient.scheduler.tick()
    held = patient.found("triggers")
    assert held.level == "warning"
    assert "nightly (fires at 02:30, which does not exist" in held.text


# --------------------------------------------------------------------------------- SQLite


def test_several_processes_on_an_old_sqlite_are_found(on_sqlite: Patient) -> None:
    """Processes are counted by host and process id."""
    on_sqlite.scheduler.tick()
    on_sqlite.another().tick()
    assert on_sqlite.found("write-ahead log").text == "active processes: 1"
    on_sqlite.sql(
        "update duly_worker set pid = pid + 1 where id = (select min(id) from duly_worker)"
    )
    held = on_sqlite.found("write-ahead log")
    old = sqlite3.sqlite_version_info < (3, 51, 3)
    assert held.level == ("warning" if old else "ok")
    assert held.text.startswith("2 processes")


@pytest.mark.parametrize(
    ("version", "processes", "level"),
    [((3, 51, 2), 2, "warning"), ((3, 51, 2), 1, "ok"), ((3, 51, 3), 2, "ok"), ((4, 0), 9, "ok")],
)
def test_the_wal_reset_bug_depends_on_version_and_processes(
    version: tuple[int, ...], processes: int, level: str
) -> None:
    """Only old versions with several processes are affected."""
    assert sqlite_examination.reset_bug(version, processes).level == level


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        (("wal", 2, 10_000), "ok"),
        (("delete", 2, 10_000), "problem"),
        (("wal", 1, 10_000), "problem"),
        (("wal", 2, 0), "problem"),
    ],
)
def test_unsafe_sqlite_settings_are_found(settings: tuple[str, int, int], level: str) -> None:
    """SQLite needs WAL, full synchronization and a busy timeout."""
    assert sqlite_examination.settings(*settings).level == level


# ----------------------------------------------------------------------------- PostgreSQL


def test_disabled_autovacuum_is_found(on_postgresql: Patient) -> None:
    """Autovacuum that is off for a single table is reported."""
    assert on_postgresql.found("autovacuum").level in {"ok", "warning"}
    on_postgresql.sql("alter table duly_run set (autovacuum_enabled = false)")
    assert on_postgresql.found("autovacuum").level == "warning"


def test_an_old_snapshot_is_found(on_postgresql: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding names the session that holds the snapshot, and its age."""
    monkeypatch.setattr(postgresql_examination, "LONG_S", 0.0)
    assert on_postgresql.found("oldest snapshot").level == "ok"
    url = on_postgresql.scheduler.store.url
    engine = create_engine(url, isolation_level="REPEATABLE READ")
    with engine.connect() as conn:
        pid = conn.execute(text("select pg_backend_pid()")).scalar_one()
        held = on_postgresql.found("oldest snapshot")
    engine.dispose()
    assert held.level == "warning"
    assert f"session {pid}" in held.text


def test_postgresql_without_durable_commits_is_found() -> None:
    """The server of these tests has durability off, so it is reported."""
    safe = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
    assert postgresql_examination.durability(safe).level == "ok"
    held = postgresql_examination.durability(safe | {"fsync": "off"})
    assert (held.level, held.text.partition(":")[0]) == ("warning", "fsync")


# -------------------------------------------------------------------------------- MariaDB


def test_a_case_insensitive_column_is_found(on_mariadb: Patient) -> None:
    """Two ids that differ only in case would be equal."""
    assert on_mariadb.found("collation").level == "ok"
    on_mariadb.sql(
        "alter table duly_job modify task varchar(191)"
        " character set utf8mb4 collate utf8mb4_general_ci not null"
    )
    held = on_mariadb.found("collation")
    assert held.level == "problem"
    assert "duly_job.task (utf8mb4_general_ci)" in held.text


def test_a_table_without_transactions_is_found(on_mariadb: Patient) -> None:
    """A table that was restored with a non-transactional engine is reported."""
    assert on_mariadb.found("storage engine").level == "ok"
    on_mariadb.sql("alter table duly_control engine = MyISAM")
    held = on_mariadb.found("storage engine")
    assert (held.level, held.text) == ("problem", "not InnoDB: duly_control")


def test_mariadb_without_durable_commits_is_found() -> None:
    """Commits that are not flushed are lost if the machine crashes."""
    assert mariadb_examination.durability(1, 1).level == "ok"
    assert mariadb_examination.durability(2, 1).level == "warning"
    held = mariadb_examination.durability(1, 0)
    assert (held.level, held.text.split(":")[0]) == ("warning", "sync_binlog is 0")


def test_a_server_that_was_out_of_connections_is_found(on_mariadb: Patient) -> None:
    """It has refused some, and a worker's heartbeat may have been among them."""
    assert on_mariadb.found("connections").level == "ok"
    assert mariadb_examination.connections(151, 151).level == "warning"
