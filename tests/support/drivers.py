"""Connections that a host opens with the database's driver itself."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pymysql
from sqlalchemy import URL


def connect(url: URL, **options: Any) -> Any:
    """Open a connection of the driver to a database.

    Args:
        url: the database.
        options: of the driver.
    """
    backend = url.get_backend_name()
    if backend == "sqlite":
        return sqlite3.connect(str(url.database), **options)
    if backend == "postgresql":
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(address, **options)
    return pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username, password=url.password or "",
        database=url.database, **options,
    )  # fmt: skip


def query(driver: Any, statement: str) -> list[Any]:
    """Execute a statement on a connection of any driver, and return its rows if it has any."""
    cursor = driver.cursor()
    cursor.execute(statement)
    return list(cursor.fetchall()) if cursor.description else []
