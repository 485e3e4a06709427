"""Duly's tables in the host's database: its migrations, its schemas and its roles."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from click.testing import CliRunner
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, make_url, text
from sqlalchemy.orm import Session

from duly import Scheduler, every
from duly.cli.main import main
from duly.errors import ConfigurationError, SchemaError
from duly.integrations.alembic import include_name, include_object

ENV = """
from alembic import context
from sqlalchemy import Column, Integer, MetaData, Table, create_engine
from duly.integrations.alembic import include_name, include_object

metadata = MetaData()
Table("item", metadata, Column("id", Integer, primary_key=True))
engine = create_engine({url!r})
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, {option})
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""
TEMPLATE = """
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
def upgrade():
    ${upgrades if upgrades else "pass"}
def downgrade():
    pass
"""


def work() -> None:
    """A task."""


def autogenerate(folder: Path, url: str, option: str) -> str:
    """Return the migration that ``alembic revision --autogenerate`` writes for a host."""
    scripts = folder / f"migrations_{secrets.token_hex(4)}"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text(ENV.format(url=url, option=option))
    (scripts / "script.py.mako").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n" + TEMPLATE
    )
    config = Config()
    config.set_main_option("script_location", str(scripts))
    command.revision(config, message="next", autogenerate=True)
    (written,) = (scripts / "versions").glob("*.py")
    return written.read_text()


@pytest.mark.parametrize(
    "option",
    [
        "include_name=include_name",
        "include_object=include_object",
        "include_name=include_name, include_schemas=True",
    ],
)
def test_U21_autogenerate_leaves_dulys_tables_alone(
    prepared_database_url: str, tmp_path: Path, option: str
) -> None:
    """The host's own new table is created; no table, index or constraint of Duly's is dropped."""
    if "schemas" in option and prepared_database_url.startswith("mysql"):
        pytest.skip("with include_schemas, Alembic would compare all databases of the server")
    written = autogenerate(tmp_path, prepared_database_url, option)
    assert "op.create_table('item'" in written
    assert "duly_" not in written
    assert "op.drop" not in written


def test_U21_without_it_the_tables_would_be_dropped(
    prepared_sqlite_url: str, tmp_path: Path
) -> None:
    """The test above would see it."""
    assert "op.drop_table('duly_job')" in autogenerate(tmp_path, prepared_sqlite_url, "")


def test_U21_the_hosts_own_names_are_compared() -> None:
    """Also a column, an index or a schema, whatever table and schema they belong to."""
    assert include_name("item", "table", {"schema_name": None})
    assert include_name(None, "schema", {})
    assert include_name("id", "column", {"schema_name": None, "table_name": "item"})
    assert not include_name("duly_run", "table", {"schema_name": "jobs"})
    assert not include_name("id", "column", {"schema_name": None, "table_name": "duly_run"})
    own = Table("item", MetaData(), Column("id", Integer, index=True))
    theirs = Table("duly_job", MetaData(), Column("id", Integer, index=True))
    for table, included in ((own, True), (theirs, False)):
        assert include_object(table, table.name, "table", True, None) is included
        assert include_object(table.c.id, "id", "column", True, None) is included
        (index,) = table.indexes
        assert include_object(index, index.name, "index", True, None) is included


# --------------------------------------------------------------------------------- schema


@pytest.mark.parametrize("pooler", [False, True])
def test_U21_tables_in_a_schema_of_their_own(postgresql_url: str, pooler: bool) -> None:
    """They are created there, everything works, and the host's tables are found as before."""
    host = create_engine(postgresql_url)
    with host.begin() as conn:
        conn.execute(text("create table item (id integer)"))
    scheduler = Scheduler(postgresql_url, schema="Task Queue", pooler=pooler)

    @scheduler.task(name="store", transactional=True)
    def store(session: Session) -> None:
        session.execute(text("insert into item values (1)"))

    @scheduler.task(name="store_here", transactional=lambda: Session(host))
    def store_here(session: Session) -> None:
        session.execute(text("insert into item values (2)"))

    scheduler.task(name="work")(work)
    scheduler.tick()
    try:
        with Session(host) as session, session.begin():
            session.execute(text("insert into item values (3)"))
            joined = scheduler.enqueue("work", session=session)
            assert session.execute(text("show search_path")).scalar() == '"$user", public'
        runs = [joined, *(scheduler.enqueue(name) for name in ("store", "store_here", "work"))]
        with Session(host) as session:
            rolled_back = scheduler.enqueue("work", session=session)
            session.rollback()
        scheduler.tick()
        assert {scheduler.run(run).state for run in runs} == {"succeeded"}
        assert rolled_back not in {run.id for run in scheduler.runs()}
        assert [one for one in scheduler.examine() if one.level == "problem"] == []
        with host.connect() as conn:
            places = conn.execute(
                text("select distinct schemaname from pg_tables where tablename like 'duly%'")
            )
            assert list(places.scalars()) == ["Task Queue"]
            found = conn.execute(text("select id from item order by id"))
            assert list(found.scalars()) == [1, 2, 3]
            assert conn.execute(text("show search_path")).scalar() == '"$user", public'
    finally:
        scheduler.stop(grace=0)
        scheduler.store.dispose()
        host.dispose()


def test_U21_two_schemas_are_two_schedulers(postgresql_url: str) -> None:
    """They share a database and know nothing of each other."""
    first, second = (Scheduler(postgresql_url, schema=name) for name in ("one", "two"))
    for scheduler in (first, second):
        scheduler.task(name="work")(work)
    first.enqueue("work")
    assert (len(first.runs()), len(second.runs())) == (1, 0)
    assert first.store.database_id != second.store.database_id
    for scheduler in (first, second):
        scheduler.store.dispose()


@pytest.mark.parametrize("url", ["sqlite:///app.db", "mysql+pymysql://ana@host/shop"])
def test_U21_other_databases_have_no_schemas(url: str) -> None:
    """The error says what to do instead."""
    with pytest.raises(ConfigurationError, match="another database in the URL"):
        Scheduler(url, schema="jobs")


# ---------------------------------------------------------------------------------- roles


@pytest.fixture(params=["postgresql", "mariadb"])
def role_url(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The URL of an empty database, and its URL for a role that may only read and write rows."""
    owner = str(request.getfixturevalue(f"{request.param}_url"))
    url, role = make_url(owner), f"duly_test_{os.getpid()}_{secrets.token_hex(4)}"
    admin = create_engine(url)
    with admin.begin() as conn:
        if request.param == "postgresql":
            conn.exec_driver_sql(f"create role {role} login password 'secret'")
            conn.exec_driver_sql("revoke create on schema public from public")
            conn.exec_driver_sql(
                "alter default privileges in schema public"
                f" grant select, insert, update, delete on tables to {role}"
            )
            conn.exec_driver_sql(
                f"alter default privileges in schema public grant usage on sequences to {role}"
            )
        else:
            conn.exec_driver_sql(f"create user '{role}'@'%%' identified by 'secret'")
            conn.exec_driver_sql(
                f"grant select, insert, update, delete on {url.database}.* to '{role}'@'%%'"
            )
    yield owner, url.set(username=role, password="secret").render_as_string(hide_password=False)
    with admin.begin() as conn:
        if request.param == "postgresql":
            conn.exec_driver_sql(f"drop owned by {role}")
            conn.exec_driver_sql(f"drop role {role}")
        else:
            conn.exec_driver_sql(f"drop user '{role}'@'%%'")
    admin.dispose()


def test_U21_a_role_without_ddl_rights_runs_everything(
    role_url: tuple[str, str], tmp_path: Path
) -> None:
    """The tables are created as a step of the deployment; then the role's rights suffice."""
    owner, role = role_url
    scheduler = Scheduler(role, heartbeat="fast")
    scheduler.task(name="work")(work)
    with pytest.raises(SchemaError, match=r"may not create .*duly db upgrade APP --url"):
        scheduler.start()
    module = f"deployed_{secrets.token_hex(4)}"
    (tmp_path / f"{module}.py").write_text(
        f"from duly import Scheduler\nscheduler = Scheduler({role!r})\n"
    )
    place = [f"{module}:scheduler", "--app-dir", str(tmp_path)]
    refused = CliRunner().invoke(main, ["db", "upgrade", *place])
    assert refused.exit_code == 1
    assert "may not create" in refused.output
    done = CliRunner().invoke(main, ["db", "upgrade", *place, "--url", owner])
    assert done.exit_code == 0, done.output
    assert "up to date (version" in done.output
    try:
        scheduler.start()
        scheduler.add("work", every(hours=1), id="job")
        run = scheduler.run_now("job", wait=60)
        assert run.state == "succeeded"
        assert [one for one in scheduler.examine() if one.level == "problem"] == []
    finally:
        scheduler.stop(grace=0)


def test_U21_prepare_is_the_same_step_in_python(role_url: tuple[str, str]) -> None:
    """`Scheduler.prepare` with the URL of a role that may create tables."""
    owner, role = role_url
    deploying = Scheduler(owner)
    deploying.prepare()
    deploying.store.dispose()
    scheduler = Scheduler(role)
    scheduler.task(name="work")(work)
    run = scheduler.enqueue("work")
    scheduler.tick()
    assert scheduler.run(run).state == "succeeded"
    scheduler.stop()
