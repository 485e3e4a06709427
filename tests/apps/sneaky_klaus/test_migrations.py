"""Migrations: they make what the models describe, and leave Duly's tables alone."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import current_app
from flask_migrate import upgrade
from sqlalchemy import inspect

from apps.sneaky_klaus.database import Base, db
from duly import VirtualClock
from tests.apps.sneaky_klaus.conftest import migrate
from tests.apps.sneaky_klaus.world import World, app_on


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The databases that the application is made for."""
    return str(request.getfixturevalue(f"{request.param}_url"))


def differences() -> Any:
    """What ``flask db migrate`` would write into a new migration."""
    options = dict(current_app.extensions["migrate"].configure_args)
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, Base.metadata)


def test_27_autogeneration_proposes_nothing(empty_url: str) -> None:
    """Duly's tables are in the same database, and are not the application's."""
    migrate(empty_url)
    with app_on(empty_url, VirtualClock()) as world, world.app.app_context():
        assert "duly_job" in inspect(db.engine).get_table_names()
        assert differences() == []


def test_27_a_forgotten_column_would_be_noticed(world: World) -> None:
    """The comparison above sees differences where there are any."""
    with world.app.app_context():
        with db.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE exchange ADD COLUMN surplus INTEGER")
        assert [change[0] for change in differences()] == ["remove_column"]


def test_19_migrating_starts_no_scheduler(sqlite_url: str) -> None:
    """Neither does it create or change anything of Duly's."""
    with app_on(sqlite_url, VirtualClock(), scheduler_enabled=True) as world:
        with world.app.app_context():
            upgrade()
            tables = inspect(db.engine).get_table_names()
        assert "exchange" in tables
        assert not [name for name in tables if name.startswith("duly_")]
        assert world.scheduler.state == "stopped"
