"""The tables are made as they are described, once, by whoever comes first; never by an old Duly."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, event, make_url, select, text

from duly.errors import SchemaError, SchemaTooNew
from duly.store import schema, tables
from duly.store.dialects import sqlite
from duly.store.dialects.mariadb_ddl import INDEXES
from duly.store.store import Store
from tests.store.conftest import at_once, everything
from tests.support.mariadb import MariaDatabases
from tests.support.postgresql import Databases
from tests.support.processes import Children

Open = Callable[[str], Store]


def catalog(conn: Connection) -> dict[str, list[Any]]:
    """What the database itself says of Duly's tables: columns, defaults, indexes, constraints."""
    if conn.dialect.name == "sqlite":
        held = conn.execute(
            text("select type, name, sql from sqlite_master where name like 'duly\\_%' escape '\\'")
        )
        shown = {(kind, name): statement for kind, name, statement in held}
        columns = [
            tuple(conn.execute(text(f"select * from pragma_table_info('{name}')")).all())
            for kind, name in sorted(shown)
            if kind == "table" and name != schema.VERSION_TABLE
        ]
        indexes = [(key, shown[key]) for key in sorted(shown) if key[0] == "index"]
        checks = [
            (name, [line.strip(" \t,") for line in str(sql).splitlines() if "CHECK" in line])
            for (kind, name), sql in sorted(shown.items())
            if kind == "table"
        ]
        held_checks = [entry for entry in checks if entry[0] != schema.VERSION_TABLE]
        return {"columns": columns, "indexes": indexes, "checks": held_checks}
    if conn.dialect.name == "mysql":
        names = conn.execute(text("show tables like 'duly\\_%'")).scalars()
        made = [
            conn.execute(text(f"show create table `{name}`")).one()[1]
            for name in names
            if name != schema.VERSION_TABLE
        ]
        lines = [line.strip(" ,") for statement in made for line in sorted(statement.splitlines())]
        return {
            "columns": made_of(lines, "`", ") ENGINE"),
            "indexes": made_of(lines, "KEY", "UNIQUE", "PRIMARY"),
            "checks": made_of(lines, "CONSTRAINT"),
        }
    queries = {
        "columns": "select table_name, column_name, data_type, character_maximum_length,"
        " datetime_precision, is_nullable, column_default, is_identity"
        " from information_schema.columns where table_name like 'duly\\_%'"
        f" and table_name <> '{schema.VERSION_TABLE}' order by table_name, column_name",
        "indexes": "select indexname, indexdef from pg_indexes where tablename like 'duly\\_%'"
        f" and tablename <> '{schema.VERSION_TABLE}' order by indexname",
        "checks": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
        " from pg_constraint where conrelid::regclass::text like 'duly\\_%'"
        f" and conrelid::regclass::text <> '{schema.VERSION_TABLE}' order by 1, 2",
    }
    return {name: list(conn.execute(text(query))) for name, query in queries.items()}


@pytest.fixture
def another_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[str]:
    """A second empty database of the same kind."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'another.db'}"
    elif database_url.startswith("postgresql"):
        postgres: Databases = request.getfixturevalue("postgres_databases")
        name = postgres.create()
        yield postgres.server.url(name)
        postgres.drop(name)
    else:
        maria: MariaDatabases = request.getfixturevalue("maria_databases")
        url = maria.create()
        yield url
        maria.drop(url)


def made_of(lines: list[str], *starts: str) -> list[str]:
    return [line for line in lines if line.startswith(starts)]


def test_migrations_make_what_the_tables_say(database_url: str, open_store: Open) -> None:
    """Alembic would generate nothing: no table, column, type, default or index differs."""
    store = open_store(database_url)
    store.prepare()
    with store.engine.connect() as conn:
        context = MigrationContext.configure(
            conn,
            opts={
                "compare_type": True,
                # MariaDB shows false as 0: there the next test alone compares the defaults.
                "compare_server_default": store.dialect.name != "mysql",
                "include_object": lambda _held, name, kind, *_rest: (
                    store.dialect.name != "mysql" or kind != "index" or name not in INDEXES
                ),
                "version_table": schema.VERSION_TABLE,
                "target_metadata": tables.metadata,
            },
        )
        assert compare_metadata(context, tables.metadata) == []


def test_the_catalog_is_the_same_as_that_of_fresh_tables(
    database_url: str, open_store: Open, another_url: str
) -> None:
    """What Alembic does not compare: conditions of partial indexes, checks, collations."""
    migrated = open_store(database_url)
    migrated.prepare()
    fresh = migrated.dialect.create_engine(make_url(another_url))
    with fresh.begin() as conn:
        tables.complete().create_all(conn)
        wanted = catalog(conn)
    fresh.dispose()
    with migrated.engine.connect() as conn:
        assert catalog(conn) == wanted
        assert len(wanted["indexes"]) >= 15


def test_the_version_is_the_head_that_the_code_knows(database_url: str, open_store: Open) -> None:
    """``schema.HEAD`` spares every start the loading of Alembic: it must be the newest script."""
    store = open_store(database_url)
    store.prepare()
    with store.engine.connect() as conn:
        assert schema.stored_version(conn) == schema.HEAD


def test_a_second_start_changes_nothing(database_url: str, open_store: Open) -> None:
    """Tables, rows and the database's identity stay."""
    open_store(database_url).prepare()
    before = everything(open_store(database_url))
    open_store(database_url).prepare()
    assert everything(open_store(database_url)) == before
    assert before["duly_control"]


def test_an_up_to_date_database_does_not_load_alembic(
    prepared_database_url: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most starts find nothing to do and pay nothing for it."""
    monkeypatch.setitem(sys.modules, "alembic", None)  # importing it fails
    open_store(prepared_database_url).prepare()


def test_tables_of_a_newer_duly_are_refused_and_left_alone(
    prepared_database_url: str, open_store: Open
) -> None:
    """An old process started by mistake says what to do and changes no byte."""
    store = open_store(prepared_database_url)
    with store.engine.begin() as conn:
        conn.execute(text("update duly_version set version_num = '9999'"))
        before_catalog = catalog(conn)
    before = everything(store)
    for _attempt in range(2):
        with pytest.raises(
            SchemaTooNew,
            match=r"at version '9999', which this Duly \(up to '\d+'\) does not know: a newer one "
            r"wrote them\. Nothing was changed; upgrade the package duly",
        ):
            open_store(prepared_database_url).prepare()
    with store.engine.connect() as conn:
        assert catalog(conn) == before_catalog
    assert everything(store) == before


def test_a_migration_that_fails_leaves_nothing_behind(
    database_url: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed or failing in the middle, the database is as before, and the next start works.

    On MariaDB, where each table is committed alone, empty tables may stay behind.
    """

    def fail() -> str:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(schema, "new_id", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        open_store(database_url).prepare()
    held = everything(store := open_store(database_url))
    assert not any(held.values())
    assert store.dialect.transactional_ddl is not bool(held)
    monkeypatch.undo()
    open_store(database_url).prepare()
    assert "duly_job" in everything(open_store(database_url))


@pytest.mark.parametrize("killed_after", [1, 2, 9, 30])
def test_a_first_migration_that_was_killed_is_done_again(
    mariadb_url: str, open_store: Open, killed_after: int
) -> None:
    """MariaDB commits each table alone: wherever the first start dies, the next one works."""
    store, made = open_store(mariadb_url), []

    def die(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().startswith("CREATE"):
            made.append(statement)
            if len(made) == killed_after:
                raise KeyboardInterrupt

    event.listen(store.engine, "after_cursor_execute", die)
    with pytest.raises(KeyboardInterrupt):
        store.prepare()
    again = open_store(mariadb_url)
    again.prepare()
    held = everything(again)
    assert len(held["duly_version"]) == len(held["duly_control"]) == 1
    assert set(held) == {*tables.metadata.tables, schema.VERSION_TABLE}


def test_tables_of_nobody_knows_which_version_are_left_alone(
    prepared_mariadb_url: str, open_store: Open
) -> None:
    """A backup without the version table: its rows are no remains of a first start."""
    store = open_store(prepared_mariadb_url)
    with store.engine.begin() as conn:
        conn.execute(text("drop table duly_version"))
    before = everything(store)
    with pytest.raises(SchemaError, match="duly_control holds rows, but duly_version does not say"):
        store.prepare()
    assert everything(store) == before


def test_the_host_s_tables_are_left_alone(database_url: str, open_store: Open) -> None:
    """One database for both: also the host's own Alembic version table stays as it is."""
    host = create_engine(database_url)
    with host.begin() as conn:
        conn.execute(text("create table alembic_version (version_num varchar(32) not null)"))
        conn.execute(text("insert into alembic_version values ('abc')"))
        conn.execute(text("create table job (id integer primary key)"))
        conn.execute(text("insert into job values (7)"))
    host.dispose()
    store = open_store(database_url)
    store.prepare()
    held = everything(store)
    assert held["alembic_version"] == [("abc",)]
    assert held["job"] == [(7,)]


def test_all_tables_carry_the_prefix() -> None:
    """Nothing of Duly's can clash with the host's names; indexes and constraints too."""
    for table in tables.metadata.tables.values():
        assert table.name.startswith("duly_")
        for index in table.indexes:
            assert str(index.name).startswith("duly_")


def test_many_processes_worth_of_starts_at_once_make_one_database(
    database_url: str, open_store: Open
) -> None:
    """Eight workers start on an empty database: all succeed, one made the tables."""
    stores = [open_store(database_url) for _ in range(8)]
    at_once(*(store.prepare for store in stores))
    held = everything(stores[0])
    assert [row for row in held["duly_control"] if row[0] == "database_id"] == held["duly_control"]
    assert len(held["duly_version"]) == 1
    assert len({store.database_id for store in stores}) == 1


def test_who_gets_the_migration_lock_next_sees_everything(
    mariadb_url: str, open_store: Open
) -> None:
    """There the lock belongs to the connection: it must not be free before the commit."""
    first, second = open_store(mariadb_url), open_store(mariadb_url)
    with first.engine.begin() as conn, second.engine.begin() as other:
        schema.upgrade(conn, first.dialect)
        with second.dialect.migration_lock(other):
            assert schema.stored_version(other) == schema.HEAD
            assert other.execute(select(tables.control.c.name)).scalars().all() == ["database_id"]


def test_two_databases_can_be_prepared_at_once(tmp_path: Path, open_store: Open) -> None:
    """Two schedulers of one process, each on its own new database, start in two threads."""
    stores = [open_store(f"sqlite:///{tmp_path / f'{number}.db'}") for number in range(6)]
    at_once(*(store.prepare for store in stores))
    for store in stores:
        assert len(everything(store)["duly_version"]) == 1


@pytest.mark.processes
def test_real_processes_prepare_one_database_at_once(
    database_url: str, open_store: Open, children: Children, tmp_path: Path
) -> None:
    """Gunicorn's workers on a new database: every one comes up, and they agree on its identity."""
    script = tmp_path / "prepare.py"
    script.write_text(
        "import sys, time\n"
        "from duly.clock import SystemClock\n"
        "from duly.store.store import Store\n"
        "store = Store(sys.argv[1], SystemClock())\n"
        "print('up', flush=True)\n"
        "while time.time() < float(sys.argv[2]): pass\n"
        "store.prepare()\n"
        "print('id', store.database_id, flush=True)\n"
    )
    start = str(time.time() + 2)
    started = [children.python(str(script), database_url, start) for _ in range(4)]
    found = {child.wait_for(r"^id (\S+)$").group(1) for child in started}
    assert len(found) == 1
    assert [child.wait() for child in started] == [0] * 4
    assert len(everything(open_store(database_url))["duly_version"]) == 1


def test_a_fresh_file_gets_the_settings_that_the_promises_need(
    sqlite_url: str, open_store: Open
) -> None:
    """WAL, full synchronisation, foreign keys, a busy timeout: on every connection."""
    store = open_store(sqlite_url)
    store.prepare()
    with store.engine.connect() as conn:
        settings = {
            name: conn.execute(text(f"pragma {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1,
        "busy_timeout": sqlite.BUSY_TIMEOUT_MS,
    }  # fmt: skip
