"""Migrations create the described tables once, and an old Duly never changes newer ones."""

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
from duly.store.dialects import mariadb, sqlite
from duly.store.dialects.mariadb_ddl import INDEXES
from duly.store.store import Store
from tests.store.conftest import at_once, everything
from tests.support.mariadb import MariaDatabases
from tests.support.postgresql import Databases
from tests.support.processes import Children

Open = Callable[[str], Store]


def catalog(conn: Connection) -> dict[str, list[Any]]:
    """Return the database's own description of Duly's tables, their indexes and constraints."""
    if conn.dialect.name == "sqlite":
        rows = conn.execute(
            text("select type, name, sql from sqlite_master where name like 'duly\\_%' escape '\\'")
        )
        shown = {(kind, name): statement for kind, name, statement in rows}
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
        own_checks = [entry for entry in checks if entry[0] != schema.VERSION_TABLE]
        return {"columns": columns, "indexes": indexes, "checks": own_checks}
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


def test_migrations_create_the_tables_of_the_code(database_url: str, open_store: Open) -> None:
    """Alembic finds no difference in tables, columns, types, defaults or indexes."""
    store = open_store(database_url)
    store.prepare()
    with store.engine.connect() as conn:
        context = MigrationContext.configure(
            conn,
            opts={
                "compare_type": True,
                # MariaDB reports false as 0; the next test compares the defaults there.
                "compare_server_default": store.dialect.name != "mysql",
                "include_object": lambda _object, name, kind, *_rest: (
                    store.dialect.name != "mysql" or kind != "index" or name not in INDEXES
                ),
                "version_table": schema.VERSION_TABLE,
                "target_metadata": tables.metadata,
            },
        )
        assert compare_metadata(context, tables.metadata) == []


def test_migrated_tables_have_the_catalog_of_new_ones(
    database_url: str, open_store: Open, another_url: str
) -> None:
    """This includes what Alembic does not compare: index conditions, checks and collations."""
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


def test_the_stored_version_is_the_head_of_the_code(database_url: str, open_store: Open) -> None:
    """``schema.HEAD``, which saves starts from loading Alembic, names the newest migration."""
    store = open_store(database_url)
    store.prepare()
    with store.engine.connect() as conn:
        assert schema.stored_version(conn) == schema.HEAD


def test_a_second_start_changes_nothing(database_url: str, open_store: Open) -> None:
    """Tables, rows and the database's identity stay unchanged."""
    open_store(database_url).prepare()
    before = everything(open_store(database_url))
    open_store(database_url).prepare()
    assert everything(open_store(database_url)) == before
    assert before["duly_control"]


def test_an_up_to_date_database_does_not_load_alembic(
    prepared_database_url: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most starts have nothing to migrate and do not pay for the import."""
    monkeypatch.setitem(sys.modules, "alembic", None)  # importing it fails
    open_store(prepared_database_url).prepare()


def test_tables_of_a_newer_duly_are_refused_and_not_changed(
    prepared_database_url: str, open_store: Open
) -> None:
    """An old process that is started by mistake reports what to do and changes nothing."""
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
    """The database is as it was before, and the next start works.

    On MariaDB, where each table is committed separately, empty tables may remain.
    """

    def fail() -> str:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(schema, "new_id", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        open_store(database_url).prepare()
    rows = everything(store := open_store(database_url))
    assert not any(rows.values())
    assert store.dialect.transactional_ddl is not bool(rows)
    monkeypatch.undo()
    open_store(database_url).prepare()
    assert "duly_job" in everything(open_store(database_url))


@pytest.mark.parametrize("killed_after", [1, 2, 9, 30])
def test_a_first_migration_that_was_killed_is_repeated(
    mariadb_url: str, open_store: Open, killed_after: int
) -> None:
    """MariaDB commits each table separately; wherever the first start dies, the next one works."""
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
    rows = everything(again)
    assert len(rows["duly_version"]) == len(rows["duly_control"]) == 1
    assert set(rows) == {*tables.metadata.tables, schema.VERSION_TABLE}


def test_tables_of_an_unknown_version_are_not_changed(
    prepared_mariadb_url: str, open_store: Open
) -> None:
    """Rows without a version may come from a backup, not from a first start that was killed."""
    store = open_store(prepared_mariadb_url)
    with store.engine.begin() as conn:
        conn.execute(text("drop table duly_version"))
    before = everything(store)
    with pytest.raises(SchemaError, match="duly_control holds rows, but duly_version does not say"):
        store.prepare()
    assert everything(store) == before


def test_the_hosts_tables_are_not_changed(database_url: str, open_store: Open) -> None:
    """This includes the host's own Alembic version table."""
    host = create_engine(database_url)
    with host.begin() as conn:
        conn.execute(text("create table alembic_version (version_num varchar(32) not null)"))
        conn.execute(text("insert into alembic_version values ('abc')"))
        conn.execute(text("create table job (id integer primary key)"))
        conn.execute(text("insert into job values (7)"))
    host.dispose()
    store = open_store(database_url)
    store.prepare()
    rows = everything(store)
    assert rows["alembic_version"] == [("abc",)]
    assert rows["job"] == [(7,)]


def test_all_tables_and_indexes_have_the_prefix() -> None:
    """So their names do not clash with those of the host."""
    for table in tables.metadata.tables.values():
        assert table.name.startswith("duly_")
        for index in table.indexes:
            assert str(index.name).startswith("duly_")


def test_simultaneous_starts_create_the_tables_once(database_url: str, open_store: Open) -> None:
    """Eight workers start on an empty database; all succeed, and one creates the tables."""
    stores = [open_store(database_url) for _ in range(8)]
    at_once(*(store.prepare for store in stores))
    rows = everything(stores[0])
    assert [row[0] for row in rows["duly_control"]] == ["database_id"]
    assert len(rows["duly_version"]) == 1
    assert len({store.database_id for store in stores}) == 1


def test_a_migration_lock_that_is_not_released_is_reported(
    mariadb_url: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start does not wait for ever; it names the connection that holds the lock."""
    monkeypatch.setattr(mariadb, "MIGRATION_WAIT_S", 0)
    store = open_store(mariadb_url)
    with store.engine.begin() as holder, store.dialect.migration_lock(holder):
        number = holder.execute(text("select connection_id()")).scalar_one()
        with pytest.raises(SchemaError, match=f"connection {number} .* KILL {number}"):
            store.prepare()
    store.prepare()


def test_the_next_holder_of_the_migration_lock_sees_the_migration(
    mariadb_url: str, open_store: Open
) -> None:
    """On MariaDB the lock belongs to the connection, and is not released before the commit."""
    first, second = open_store(mariadb_url), open_store(mariadb_url)
    with first.engine.begin() as conn, second.engine.begin() as other:
        schema.upgrade(conn, first.dialect)
        with second.dialect.migration_lock(other):
            assert schema.stored_version(other) == schema.HEAD
            assert other.execute(select(tables.control.c.name)).scalars().all() == ["database_id"]


def test_a_server_that_cannot_lock_migrations_stops_the_start(
    mariadb_url: str, open_store: Open
) -> None:
    """GET_LOCK returns NULL, as when the server is out of memory; the start fails at once."""
    store = open_store(mariadb_url)

    def fail(_conn: Any, _cursor: Any, sql: str, parameters: Any, *_rest: Any) -> tuple[str, Any]:
        return ("select null", ()) if "get_lock" in sql else (sql, parameters)

    event.listen(store.engine, "before_cursor_execute", fail, retval=True)
    with store.engine.begin() as conn, pytest.raises(SchemaError, match="GET_LOCK returned NULL"):
        schema.upgrade(conn, store.dialect)


def test_two_databases_can_be_prepared_at_once(tmp_path: Path, open_store: Open) -> None:
    """Several schedulers of one process, each with its own new database, start in threads."""
    stores = [open_store(f"sqlite:///{tmp_path / f'{number}.db'}") for number in range(6)]
    at_once(*(store.prepare for store in stores))
    for store in stores:
        assert len(everything(store)["duly_version"]) == 1


@pytest.mark.processes
def test_real_processes_prepare_one_database_at_once(
    database_url: str, open_store: Open, children: Children, tmp_path: Path
) -> None:
    """All workers of a server start on a new database and read the same identity."""
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


def test_connections_to_a_new_file_have_the_required_settings(
    sqlite_url: str, open_store: Open
) -> None:
    """They are WAL, full synchronization, foreign keys and a busy timeout."""
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
