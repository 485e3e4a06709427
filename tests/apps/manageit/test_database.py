"""The cursor helper: transactions that end, and connections that return clean."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pymysql
import pytest
from sqlalchemy import make_url

from apps.manageit.database import Cursor, DatabaseManager
from tests.apps.manageit.world import World


def in_block(database: DatabaseManager, *steps: Callable[[Cursor, Any], object]) -> Any:
    """Do something in one block, and return its connection."""
    with database.get_db_cursor() as (cursor, connection):
        for step in steps:
            step(cursor, connection)
    return connection


def add_mess(cursor: Cursor, _connection: Any) -> None:
    cursor.insert("messes", {"name": "mess9", "display_name": "Mess 9"})


def send(statement: str) -> Callable[[Cursor, Any], object]:
    return lambda cursor, _connection: cursor.execute(statement)


def kill(cursor: Cursor, connection: Any) -> None:
    """Close the connection from the server's side."""
    with contextlib.suppress(pymysql.OperationalError):
        cursor.execute(f"KILL {connection.thread_id()}")


def test_an_error_leaves_nothing_and_returns_a_clean_connection(world: World) -> None:
    """The only connection of a pool serves the next block as if nothing had happened."""
    database = DatabaseManager(make_url(world.database.url), pool_size=1)
    connection = in_block(database)
    for _turn in range(2):
        with pytest.raises(Exception, match="no_such"):
            in_block(database, add_mess, send("SELECT no_such FROM messes"))
    assert in_block(database, add_mess) is connection
    assert [row["name"] for row in world.rows("messes")] == ["mess1", "mess2", "mess9"]
    database.close()


def test_a_connection_that_the_server_has_closed_is_replaced(manageit_mariadb_url: str) -> None:
    """A restart of the server costs only what is open at that moment, which gets its own error."""
    database = DatabaseManager(make_url(manageit_mariadb_url), pool_size=1)
    broken = in_block(database)
    with contextlib.suppress(pymysql.OperationalError):
        broken.kill(broken.thread_id())
    idle = in_block(database, send("SELECT 1"))
    assert idle is not broken
    with pytest.raises(pymysql.OperationalError, match=r"Lost connection|gone away"):
        in_block(database, kill, send("SELECT 1"))
    assert in_block(database, send("SELECT 1")) is not idle
    database.close()


def test_a_deleted_menu_takes_its_extras_with_it_on_every_connection(world: World) -> None:
    """Also on those that transactional runs use."""
    world.non_veg(date(2026, 6, 15))
    connection = world.database.connect()
    with world.database.cursor_of(connection) as cursor:
        cursor.execute("DELETE FROM non_veg_menu_main")
    connection.commit()
    connection.close()
    assert world.rows("non_veg_menu_items") == []


def test_instants_and_dates_come_back_as_they_were_stored(world: World) -> None:
    """Microseconds stay, and an instant of another zone becomes UTC."""
    moment = datetime.fromisoformat("2026-06-16T01:30:00.000001+05:30")
    world.insert(
        "temporary_menu", created_at=moment, menu_date=date(2026, 6, 16), mess_name="mess1",
        meal="Lunch", item_name="Idli",
    )  # fmt: skip
    [row] = world.rows("temporary_menu")
    assert row["created_at"] == datetime(2026, 6, 15, 20, 0, 0, 1, tzinfo=UTC)
    assert row["created_at"].tzinfo is UTC
    assert row["menu_date"] == date(2026, 6, 16)
