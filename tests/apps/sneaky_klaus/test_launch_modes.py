"""However the application is started, its scheduler runs where it serves, and each job once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, inspect

from apps.sneaky_klaus.database import NOT_MIGRATED
from tests.apps.sneaky_klaus.site import Site
from tests.apps.sneaky_klaus.ticking import EVERY, TICKS
from tests.support.processes import Children, Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

TICKING = "tests.apps.sneaky_klaus.ticking:create_app"
GUNICORN = ("-m", "gunicorn", "--bind", "127.0.0.1:0", f"{TICKING}()")
FLASK = ("-m", "flask", "--app", "apps.sneaky_klaus.app")
RELOADER = ("-m", "flask", "--app", TICKING, "run", "--port", "0", "--debug")
ENOUGH = 8
TEST = """
from apps.sneaky_klaus.app import create_app

def test_the_application() -> None:
    assert create_app().test_client().get("/nowhere").status_code == 404
"""
NOT_SERVING: Mapping[str, Sequence[str]] = {
    "flask db upgrade": (*FLASK, "db", "upgrade"),
    "flask shell": (*FLASK, "shell"),
    "flask routes": (*FLASK, "routes"),
    "pytest": ("-m", "pytest", "test_app.py", "-p", "no:cacheprovider"),
}
Report = Callable[[str], None]


@pytest.mark.parametrize(
    ("mode", "command", "workers"),
    [
        ("gunicorn", (*GUNICORN, "--workers", "1"), 1),
        ("gunicorn --workers 3", (*GUNICORN, "--workers", "3"), 3),
        ("gunicorn --workers 3 --preload", (*GUNICORN, "--workers", "3", "--preload"), 3),
        ("flask run --debug", RELOADER, 1),
    ],
    ids=["gunicorn", "gunicorn-several", "gunicorn-preload", "flask-run-debug"],
)
def test_each_due_time_runs_once(
    site: Site,
    mode: str,
    command: tuple[str, ...],
    workers: int,
    report: Report,
) -> None:
    """The serving processes are the workers, their parent is none, and no due time runs twice."""
    ticks = site.folder / "ticks"
    ticks.touch()
    server = site.server(*command, **{TICKS: ticks})
    pids = site.workers(workers)
    assert pids == _children_of(server)
    wait_until(lambda: len(ticks.read_text().splitlines()) >= ENOUGH, what="ticks")
    runs = [line.rpartition(" ") for line in ticks.read_text().splitlines()]
    times, used = {time for time, _, _ in runs}, {int(pid) for _, _, pid in runs}
    assert len(times) == len(runs)
    assert used <= pids
    _assert_none_left_out(site)
    report(
        f"{mode}: {workers} worker(s) among {len(pids) + 1} processes; {len(times)} due times "
        f"and {len(runs)} runs, in {len(used)} process(es)"
    )


def test_19_what_does_not_serve_starts_no_scheduler(
    tmp_path: Path, children: Children, report: Report
) -> None:
    """A migration, a shell, a script and a test do not even create Duly's tables."""
    (tmp_path / "test_app.py").write_text(TEST)
    site = Site(f"sqlite:///{tmp_path / 'new.db'}", tmp_path, children)
    engine = create_engine(site.url)
    for name, command in NOT_SERVING.items():
        child = site.python(*command)
        assert child.wait() == 0, child.output()
        assert "Traceback" not in child.output()
        tables = inspect(engine).get_table_names()
        assert "exchange" in tables
        assert not [table for table in tables if table.startswith("duly")], name
        report(f"{name}: 0 workers, 0 runs, for Duly has no tables yet")
    engine.dispose()


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_gunicorn_does_not_start_without_migration(
    tmp_path: Path, children: Children, options: tuple[str, ...]
) -> None:
    """It ends with a message that names the command."""
    site = Site(f"sqlite:///{tmp_path / 'new.db'}", tmp_path, children)
    app = "apps.sneaky_klaus.app:from_environment()"
    child = site.python("-m", "gunicorn", "--bind", "127.0.0.1:0", *options, app)
    assert child.wait() != 0
    assert NOT_MIGRATED in child.output()
    assert "OperationalError" not in child.output()


def _assert_none_left_out(site: Site) -> None:
    """Every due time has a run, or is recorded as missed where the machine was too busy."""
    runs, gaps = site.scheduler.runs(job="tick", limit=1000), site.scheduler.missed("tick")
    times = [run.scheduled_for for run in runs if run.scheduled_for]
    first = min(*times, *(gap.first for gap in gaps))
    span = (max(times) - first) / timedelta(seconds=EVERY)
    assert len(times) + sum(gap.count for gap in gaps) == span + 1


def _children_of(server: Server) -> set[int]:
    return {child.pid for child in psutil.Process(server.pid).children()}
