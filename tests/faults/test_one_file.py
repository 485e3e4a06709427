"""One SQLite file is one database, by whatever name and from whatever folder it is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession

from duly import Scheduler, prepare_engine
from duly.errors import ConfigurationError, DatabaseURLError
from duly.store.dialects import sqlite_file_system


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the working directory at first."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def opened(*urls: str) -> list[Scheduler]:
    made = [Scheduler(url) for url in urls]
    for scheduler in made:
        scheduler.task(name="work")(work)
    return made


def work() -> None:
    """A task."""


def close(*made: Scheduler) -> None:
    for scheduler in made:
        scheduler.stop(grace=0)
        scheduler.store.dispose()


NAMES = {
    "relative": "sqlite:///app.db",
    "absolute": "sqlite:///{home}/app.db",
    "with dots": "sqlite:///{home}/../home/./app.db",
    "symbolic link": "sqlite:///{home}/link.db",
    "linked folder": "sqlite:///{home}/../linked/app.db",
    "file URI": "sqlite:///file:app.db?uri=true",
    "absolute file URI": "sqlite:///file://{home}/app.db?uri=true",
    "file URI of a host": "sqlite:///file://localhost{home}/app.db?uri=true&mode=rwc",
    "escaped file URI": "sqlite:///file:%61pp.db?uri=true&cache=private",
    "asyncio": "sqlite+aiosqlite:///app.db",
}


@pytest.mark.parametrize("name", NAMES)
def test_U13_a_second_name_does_not_make_a_living_worker_look_dead(
    home: Path, tmp_path: Path, name: str
) -> None:
    """Two workers that name one file differently respect each other's runs."""
    (home / "link.db").symlink_to("app.db")
    (tmp_path / "linked").symlink_to("home")
    first, second = opened("sqlite:///app.db", NAMES[name].format(home=home))
    try:
        first.tick()
        run = first.enqueue("work")
        with first.store.write() as tx:
            tx.conn.execute(
                text("update duly_run set state='running', worker_id=:w, token=1, attempt=1"),
                {"w": first.worker_id},
            )
        second.tick()
        assert second.run(run).state == "running"
        assert {worker.id for worker in second.workers()} == {first.worker_id, second.worker_id}
        assert [entry.name for entry in home.iterdir() if entry.name.endswith("-workers")] == [
            "app.db-workers"
        ]
    finally:
        close(first, second)


def test_U13_a_change_of_the_working_directory_changes_nothing(home: Path, tmp_path: Path) -> None:
    """A relative path is resolved when the URL is read, and never again."""
    (scheduler,) = opened("sqlite:///app.db")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    try:
        scheduler.tick()
        scheduler.enqueue("work")
        assert (home / "app.db").exists()
        assert (home / "app.db-workers").is_dir()
        assert not list(elsewhere.iterdir())
        assert str(home / "app.db") in str(scheduler.store)
    finally:
        close(scheduler)


async def test_U13_a_session_for_coroutines_opens_the_same_file(home: Path, tmp_path: Path) -> None:
    """The asyncio engine that Duly makes later is for the file that the URL named at first."""
    pytest.importorskip("aiosqlite")
    seen: list[str] = []
    scheduler = Scheduler("sqlite+aiosqlite:///app.db")

    @scheduler.task(name="look", transactional=True)
    async def look(session: AsyncSession) -> None:
        rows = await session.execute(text("pragma database_list"))
        seen.append(str(rows.one()[2]))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    try:
        await scheduler.aio.enqueue("look")
        await scheduler.aio.tick()
        assert seen == [str(home / "app.db")]
    finally:
        await scheduler.aio.stop()
        scheduler.store.dispose()


def test_U13_a_second_hard_link_is_refused(home: Path) -> None:
    """SQLite keeps its log beside the name that was opened, so that two names damage the file.

    No name of the two is the right one, so the error says what to do instead.
    """
    (first,) = opened("sqlite:///app.db")
    first.tick()
    close(first)
    os.link(home / "app.db", home / "other.db")
    for name in ("app.db", "other.db"):
        scheduler = Scheduler(f"sqlite:///{name}")
        with pytest.raises(ConfigurationError, match=r"2 hard links.*find .* -samefile"):
            scheduler.tick()
        (finding,) = scheduler.examine()
        assert (finding.check, finding.level) == ("database", "problem")
        scheduler.store.dispose()
    engine = prepare_engine(create_engine("sqlite:///app.db"))
    with pytest.raises(ConfigurationError, match="2 hard links"):
        engine.connect()
    engine.dispose()
    (home / "other.db").unlink()
    (again,) = opened("sqlite:///app.db")
    again.tick()
    close(again)


def test_U13_a_file_that_is_mounted_alone_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that mounts the file without its folder would lose the log, and so commits."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda1 / ext4 rw 0 0\n/dev/vda1 {home}/app.db ext4 rw 0 0\n")
    monkeypatch.setattr(sqlite_file_system, "MOUNTS", mounts)
    scheduler = Scheduler("sqlite:///app.db")
    with pytest.raises(ConfigurationError, match=r"app\.db.*is mounted without its folder"):
        scheduler.tick()
    scheduler.store.dispose()


@pytest.mark.parametrize(
    "parameters", ["mode=ro", "immutable=1", "nolock=1", "vfs=unix-none", "vfs=memdb"]
)
def test_U13_parameters_under_which_processes_cannot_share_the_file_are_refused(
    parameters: str,
) -> None:
    """The error names the parameter when the URL is read."""
    name = parameters.partition("=")[0] if "memdb" not in parameters else "in memory"
    with pytest.raises(DatabaseURLError, match=name):
        Scheduler(f"sqlite:///file:app.db?uri=true&{parameters}")
