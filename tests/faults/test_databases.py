"""A database with unusual settings works; another names what to install or create."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from duly import Scheduler, every
from duly.errors import DatabaseUnavailable, DatabaseURLError


@pytest.mark.parametrize("style", ["German", "SQL, DMY", "Postgres, MDY"])
def test_U26_postgresql_with_another_date_style_works(postgresql_url: str, style: str) -> None:
    """Instants are read as they were written, on Duly's connections and on the caller's."""
    engine = create_engine(postgresql_url)
    with engine.begin() as conn:
        name = conn.execute(text("SELECT current_database()")).scalar_one()
        conn.execute(text(f"ALTER DATABASE \"{name}\" SET datestyle = '{style}'"))
    engine.dispose()
    scheduler = Scheduler(postgresql_url)

    @scheduler.task()
    def work() -> str:
        return "done"

    scheduler.add(work, every(hours=1), id="hourly")
    run_id = scheduler.enqueue(work)
    scheduler.run_due()
    assert scheduler.run(run_id).result == "done"
    assert scheduler.job("hourly").next_fire_at is not None
    with Session(engine) as session:
        joined = scheduler.enqueue(work, session=session, unique_key="one")
        job = scheduler.add(work, every(hours=1), id="joined", session=session)
        changed = scheduler.edit("hourly", trigger=every(hours=2), session=session)
        assert changed.next_fire_at is not None
        session.commit()
    assert scheduler.job("joined").created_at == job.created_at
    assert scheduler.run(joined).state == "ready"
    scheduler.stop(grace=0)
    scheduler.store.dispose()
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("postgresql+asyncpg://u@localhost/x", "psycopg", "duly[postgresql]"),
        ("postgresql+psycopg://u@localhost/x", "psycopg", "duly[postgresql]"),
        ("mysql+aiomysql://u@localhost/x", "pymysql", "duly[mysql]"),
    ],
)
def test_U26_a_missing_driver_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str
) -> None:
    """With what to install: Duly needs a driver beside the asyncio driver of the host."""
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DatabaseURLError) as error:
        Scheduler(url)
    assert module in str(error.value)
    assert f"pip install '{extra}'" in str(error.value)


def test_U26_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The file of an SQLite database is created; its folder, which may be mounted later, is not."""
    scheduler = Scheduler(f"sqlite:///{tmp_path}/nowhere/app.db")
    missing = r"the folder .*nowhere.* does not exist; create it"
    with pytest.raises(DatabaseUnavailable, match=missing):
        scheduler.jobs()
    with scheduler.running():
        assert re.search(missing, scheduler.health().detail or "")
    (tmp_path / "nowhere").mkdir()
    assert scheduler.jobs() == []
    scheduler.store.dispose()
