"""Databases on a MariaDB server that is already running; tests never start one.

The tests change nothing on the server except databases of their own session, which are dropped at
its end. The next session drops those that a killed session has left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import psutil
import pymysql
from sqlalchemy import URL, create_engine, make_url, text

from tests.support.session import only_one, session_folder
from tests.support.template import prepare_template

VARIABLE = "DULY_TEST_MARIADB"
DEFAULT = "mysql+pymysql://root@127.0.0.1:3306/"
PREFIX = "duly_test"
AUTO_INCREMENT = re.compile(r" AUTO_INCREMENT=\d+")


def server_url() -> URL:
    """Return the server's URL, with an account that may create and drop databases."""
    return make_url(os.environ.get(VARIABLE, DEFAULT)).set(drivername="mysql+pymysql")


@cache
def why_not() -> str | None:
    """Return why tests on MariaDB cannot run here, or ``None`` if they can."""
    try:
        _connect().close()
    except pymysql.MySQLError as error:
        shown = server_url().render_as_string()
        return f"no MariaDB at {shown} ({error}); name one in {VARIABLE}"
    return None


class MariaDatabases:
    """Creates, lends and drops databases on the server.

    Their names contain the process id of the session, so that concurrent sessions do not collide
    and leftovers of a dead session can be recognised.

    Creating the tables of a prepared database and dropping it takes many times as long as emptying
    it, so prepared databases are lent to one test after another.

    Args:
        worker: part of the names, so that the processes of one session do not collide.
        template: the content of a prepared database.
    """

    def __init__(self, worker: str, template: Template | None = None) -> None:
        self._template = template or DULY
        self._admin = _connect()
        self._prefix = f"{_session_prefix()}{worker}_"
        self._made = 0
        self._spare: list[str] = []

    def create(self, statements: list[str] | None = None) -> str:
        """Create a database, run the statements in it, and return its URL."""
        self._made += 1
        name = f"{self._prefix}{self._made}"
        with self._admin.cursor() as cursor:
            # The odd character set is on purpose: what passes only because of the server's
            # default proves nothing.
            cursor.execute(f"create database `{name}` character set latin1")
            cursor.execute(f"use `{name}`")
            for statement in statements or ():
                cursor.execute(statement)
        return url_of(name)

    def lend(self) -> str:
        """Return the URL of a prepared database that no other test uses."""
        return self._spare.pop() if self._spare else self.create(self._template.statements())

    def take_back(self, url: str) -> None:
        """Restore a database that was lent, or drop it where that is not possible."""
        if self._restore(str(make_url(url).database)):
            self._spare.append(url)
        else:
            self.drop(url)

    def _restore(self, name: str) -> bool:
        """Give a database the rows of the template, unless it is in use or has other tables."""
        statements = self._template.statements()
        tables = [text for text in statements if text.startswith("CREATE TABLE")]
        rows = statements[len(tables) :]
        with self._admin.cursor() as cursor:
            if self._users(name):  # a thread of the test may still write
                return False
            cursor.execute(f"use `{name}`")
            found = _tables(cursor)
            if [*map(_shape, found.values())] != [*map(_shape, tables)]:
                return False
            cursor.execute("begin")
            for statement in (*(f"delete from `{table}`" for table in found), *rows):
                cursor.execute(statement)
            cursor.execute("commit")
        return True

    def drop(self, url: str) -> None:
        """Drop the database and kill the connections to it."""
        name = str(make_url(url).database)
        with self._admin.cursor() as cursor:
            for thread in self._users(name):
                with contextlib.suppress(pymysql.MySQLError):  # it has gone by itself
                    cursor.execute(f"kill {thread}")
            cursor.execute(f"drop database if exists `{name}`")

    def close(self) -> None:
        """Close the administrative connection."""
        self._admin.close()

    def _users(self, name: str) -> list[int]:
        """Return the other connections to a database."""
        threads = "select id from information_schema.processlist where db = %s and id <> %s"
        with self._admin.cursor() as cursor:
            cursor.execute(threads, (name, self._admin.thread_id()))
            return [thread for (thread,) in cursor.fetchall()]


def url_of(name: str) -> str:
    """Return the URL of a database on the server."""
    return server_url().set(database=name).render_as_string(hide_password=False)


@dataclass(frozen=True, slots=True)
class Template:
    """The content of a prepared database.

    Attributes:
        name: identifies it within the session.
        prepare: creates the content in the database at a URL.
    """

    name: str
    prepare: Callable[[str], None]

    def statements(self) -> list[str]:
        """Return the statements that create the content; they are read once per session."""
        note = session_folder() / f"{self.name}.json"
        with only_one(self.name):
            if not note.exists():
                _drop_what_the_dead_left()
                databases = MariaDatabases(f"{self.name}_template")
                url = databases.create()
                self.prepare(url)
                note.write_text(json.dumps(_dump(url)))
                databases.drop(url)
                databases.close()
        statements: list[str] = json.loads(note.read_text())
        return statements


DULY = Template("mariadb", prepare_template)
"""Duly's tables, with which most tests begin."""


def end_session() -> None:
    """Drop every database of this session."""
    _drop(_session_prefix())


def _connect() -> pymysql.Connection[Any]:
    url = server_url()
    return pymysql.connect(
        host=url.host or "127.0.0.1",
        port=url.port or 3306,
        user=url.username or "root",
        password=url.password or "",
        autocommit=True,
        connect_timeout=5,
        # Tables are created and emptied in the order of their names.
        init_command="set foreign_key_checks = 0",
    )


def _session_prefix() -> str:
    _duly, _tests, pid, random = session_folder().name.split("-")
    return f"{PREFIX}_{pid}_{random}_"


def _dump(url: str) -> list[str]:
    engine = create_engine(url)
    with engine.connect() as conn:
        tables = _tables(conn.connection.cursor())
        statements = list(tables.values())
        for name in tables:
            for row in conn.execute(text(f"select * from `{name}`")):
                values = ", ".join(conn.connection.escape(value) for value in row)
                statements.append(f"insert into `{name}` values ({values})")
    engine.dispose()
    return statements


def _tables(cursor: Any) -> dict[str, str]:
    """Return the statements that create the tables of the current database, by their names."""
    statements = {}
    cursor.execute("show tables")
    for (name,) in cursor.fetchall():
        cursor.execute(f"show create table `{name}`")
        statements[name] = cursor.fetchall()[0][1]
    return statements


def _shape(statement: str) -> str:
    return AUTO_INCREMENT.sub("", statement)


def _drop_what_the_dead_left() -> None:
    with _connect() as admin, admin.cursor() as cursor:
        cursor.execute("show databases like %s", (PREFIX.replace("_", r"\_") + r"\_%",))
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        pid = name.split("_")[2]
        if not (pid.isdigit() and psutil.pid_exists(int(pid))):
            _drop(name)


def _drop(prefix: str) -> None:
    with _connect() as admin, admin.cursor() as cursor:
        cursor.execute("show databases like %s", (prefix.replace("_", r"\_") + "%",))
        for (name,) in cursor.fetchall():
            cursor.execute(f"drop database if exists `{name}`")
