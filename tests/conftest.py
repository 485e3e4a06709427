"""The test session, and the fixtures of all folders: databases and child processes.

Nothing here imports a server's driver before a test asks for that server, so that tests which need
none are collected where none is installed.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.support.processes import Children, kill_orphans
from tests.support.session import close_session, open_session, session_folder
from tests.support.statements import share_statements
from tests.support.template import prepared_file

if TYPE_CHECKING:
    from tests.support.mariadb import MariaDatabases
    from tests.support.postgresql import Databases, PostgresServer

# The machine may be slow and shared: a slow example is no failure.
settings.register_profile("duly", deadline=None, print_blob=True)
settings.register_profile("fast", settings.get_profile("duly"), max_examples=20)
settings.load_profile("duly")

MEMORY = Path("/dev/shm")
ROOM_FOR_FILES = 2**30
SERVERS = ["postgresql", "mariadb"]
DIALECTS = ["sqlite", *SERVERS]


def pytest_configure(config: pytest.Config) -> None:
    """Prepare every process; in the first one, open the session's folder."""
    share_statements()
    if is_first(config):
        open_session()
        keep_files_in_memory()
        # Ask politely as ctrl-C does, so that the end below is reached and no server stays. And
        # ctrl-C itself: who starts the tests in the background has it ignored, also by children.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)


def keep_files_in_memory() -> None:
    """Put the tests' temporary folders in memory, where an SQLite commit waits for no disk.

    Tests kill processes, but not the machine. Set ``PYTEST_DEBUG_TEMPROOT`` for another folder.
    """
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_FOR_FILES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_unconfigure(config: pytest.Config) -> None:
    """In the first process, after all others have ended, stop the servers and remove the folder."""
    if is_first(config):
        kill_orphans()
        for server in SERVERS:
            if (session_folder() / f"{server}.json").exists():
                import_module(f"tests.support.{server}").end_session()
        close_session()


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need, and reject ids that differ between processes."""
    for item in items:
        for mark in needs(item):
            item.add_marker(mark)
    # xdist could not share such tests out.
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError("an address in a test's name; give it ids=…: " + unstable[0])


def pytest_collection_finish() -> None:
    """Exclude the objects of the collected tests from every later garbage collection."""
    gc.collect()
    gc.freeze()


def needs(item: pytest.Item) -> Iterator[str]:
    """Yield the marks that follow from a test's fixtures and parameters."""
    fixtures = set(getattr(item, "fixturenames", ()))
    call = getattr(item, "callspec", None)
    if fixtures & {"postgres", "maria_databases"} or set(SERVERS) & set(_texts(call)):
        yield "server"
    if "children" in fixtures:
        yield "processes"


def _texts(call: Any) -> list[str]:
    return [value for value in call.params.values() if isinstance(value, str)] if call else []


def is_first(config: pytest.Config) -> bool:
    """Return whether this process is not an xdist worker."""
    return not hasattr(config, "workerinput")


# ------------------------------------------------------------------------------ databases


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """A running PostgreSQL server that the whole session shares; tests must not stop it."""
    from tests.support.postgresql import shared_server

    return shared_server()


@pytest.fixture(scope="session")
def postgres_databases(postgres: PostgresServer) -> Iterator[Databases]:
    """Creates and drops databases on the shared server."""
    from tests.support.postgresql import Databases

    databases = Databases(postgres, f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    yield databases
    databases.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'duly.db'}"


@pytest.fixture
def postgresql_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped after the test."""
    name = postgres_databases.create()
    yield postgres_databases.server.url(name)
    postgres_databases.drop(name)


@pytest.fixture(scope="session")
def maria_databases() -> Iterator[MariaDatabases]:
    """Creates and drops databases on the MariaDB server named in ``DULY_TEST_MARIADB``."""
    from tests.support.mariadb import DULY, MariaDatabases, why_not

    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    DULY.statements()
    databases = MariaDatabases(os.environ.get("PYTEST_XDIST_WORKER", "main"))
    yield databases
    databases.close()


@pytest.fixture
def mariadb_url(maria_databases: MariaDatabases) -> Iterator[str]:
    """The URL of an empty MariaDB database, dropped after the test."""
    url = maria_databases.create()
    yield url
    maria_databases.drop(url)


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database; the test runs once on each kind of database."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def prepared_sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite file as `prepare_template` leaves it."""
    return prepared_file(tmp_path)


@pytest.fixture
def prepared_postgresql_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of a PostgreSQL database as `prepare_template` leaves it."""
    name = postgres_databases.lend()
    yield postgres_databases.server.url(name)
    postgres_databases.take_back(name)


@pytest.fixture
def prepared_mariadb_url(maria_databases: MariaDatabases) -> Iterator[str]:
    """The URL of a MariaDB database as `prepare_template` leaves it."""
    url = maria_databases.lend()
    yield url
    maria_databases.take_back(url)


@pytest.fixture(params=DIALECTS)
def prepared_database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a prepared database; the test runs once on each kind of database."""
    return str(request.getfixturevalue(f"prepared_{request.param}_url"))


# ------------------------------------------------------------------------------ processes


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """Starts child processes and web servers; kills them after the test."""
    with Children(tmp_path) as started:
        yield started
