"""Host applications that run in processes of their own."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from duly import Scheduler
from tests.support.processes import Child, Children, Server
from tests.support.waiting import wait_until

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
HOSTS = "tests.integrations.hosts"
TABLES = (  # the hosts' own
    "create table effect (nominal varchar(40), pid integer)",
    "create table placed (number integer)",
)


class Host:
    """A database, a folder for signals to running functions, and servers that use both.

    Attributes:
        scheduler: a scheduler on the same database, which is never started.
    """

    def __init__(self, url: str, folder: Path, children: Children) -> None:
        self.url = url
        self._folder = folder
        self._children = children
        self.scheduler = Scheduler(url)
        self.database = create_engine(url)
        with self.database.begin() as conn:
            for statement in TABLES:
                conn.execute(text(statement))

    def env(self, **settings: Any) -> dict[str, str]:
        """Return the environment variables of a host."""
        given = {f"HOST_{name.upper()}": str(value) for name, value in settings.items()}
        folder = str(self._folder)  # also for what servers keep at home
        return {"HOST_DATABASE": self.url, "HOST_FOLDER": folder, "HOME": folder, **given}

    def uvicorn(self, *options: str, ready: str = "/", **settings: Any) -> Server:
        """Start the FastAPI host behind uvicorn."""
        app = f"{HOSTS}.fastapi_host:app"
        return self._children.uvicorn(app, *options, ready=ready, env=self.env(**settings))

    def server(self, *arguments: str | Path, ready: str = "", **settings: Any) -> Server:
        """Start another server, and wait until the path ``ready`` responds if it is given."""
        return self._children.server(*arguments, ready=ready, env=self.env(**settings))

    def python(self, *arguments: str | Path, **settings: Any) -> Child:
        """Start a Python process."""
        return self._children.python(*arguments, env=self.env(**settings))

    def say(self, word: str) -> None:
        """Leave a word for a running function."""
        (self._folder / word).touch()

    def hear(self, word: str) -> None:
        """Wait for a word of a running function, and take it."""
        wait_until((self._folder / word).exists, what=f"the word {word!r}")
        (self._folder / word).unlink()

    def column(self, statement: str) -> list[Any]:
        """What a column of the host's own tables holds."""
        with self.database.connect() as conn:
            return list(conn.execute(text(statement)).scalars())

    def untouched(self) -> bool:
        """Whether no scheduler has ever contacted the database."""
        with self.database.connect() as conn:
            return not inspect(conn).has_table("duly_job")

    def workers(self, count: int) -> set[int]:
        """Wait until so many workers take part; their process ids."""

        def look() -> set[int]:
            if self.untouched():
                return set()
            pids = {worker.pid for worker in self.scheduler.workers()}
            return pids if len(pids) == count else set()

        return wait_until(look, what=f"{count} workers")

    def ended(self, run_id: str) -> Any:
        """Wait until a run is over, and return it."""

        def look() -> Any:
            run = self.scheduler.run(run_id)
            return run if run.is_terminal else None

        return wait_until(look, what="the end of the run")

    def close(self) -> None:
        """Close all connections."""
        self.scheduler.store.dispose()
        self.database.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The databases that the hosts have asynchronous drivers for."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def host(database_url: str, tmp_path: Path, children: Children) -> Iterator[Host]:
    """A host on each kind of database."""
    made = Host(database_url, tmp_path, children)
    yield made
    made.close()


@pytest.fixture
def sqlite_host(sqlite_url: str, tmp_path: Path, children: Children) -> Iterator[Host]:
    """A host on SQLite, for what has nothing to do with the database."""
    made = Host(sqlite_url, tmp_path, children)
    yield made
    made.close()


def ask(url: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> Any:
    """A JSON answer of a host."""
    request = urllib.request.Request(url, method=method, headers=headers or {})
    with _opener.open(request, timeout=240) as answer:
        return json.load(answer)


def assert_decided_once(host: Host, job: str, seconds: float) -> None:
    """Every nominal time of an ``every`` job until now has one run or is in one missed range."""
    runs = host.scheduler.runs(job=job, limit=1000)
    moments = [run.scheduled_for for run in runs if run.scheduled_for]
    assert len(moments) == len(set(moments))
    assert all(run.attempt == 1 for run in runs if run.state == "succeeded")
    gaps = host.scheduler.missed(job)
    first = min(*moments, *(gap.first for gap in gaps))
    span = (max(moments) - first) / timedelta(seconds=seconds)
    assert len(moments) + sum(gap.count for gap in gaps) == round(span) + 1
