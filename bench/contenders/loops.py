"""Claiming and completing, written by hand with each driver alone: what no scheduler can beat."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Protocol

import psycopg
import pymysql
from sqlalchemy import URL, make_url

INSTANT = "2026-01-01 00:00:00"


class Loop(Protocol):
    """One database. Each call but `fill` is one transaction, as durable as the server's default."""

    def fill(self, rows: int) -> None:
        """Create the table again, with this number of ready rows."""

    def claim(self, batch: int) -> list[Any]:
        """Claim the next rows, and return their ids."""

    def complete(self, ids: list[Any]) -> None:
        """Mark them as done."""

    def insert(self, batch: int, instant: int) -> None:
        """Insert rows of different jobs for one instant, where they are new."""


def loop_on(url: str) -> Loop:
    """Return the loop for this database."""
    parsed = make_url(url)
    kinds: dict[str, Callable[[URL], Loop]]
    kinds = {"sqlite": SQLiteLoop, "postgresql": PostgresLoop, "mysql": MariaLoop}
    return kinds[parsed.get_backend_name()](parsed)


class SQLiteLoop:
    """See `Loop`; WAL and synchronous=FULL."""

    def __init__(self, url: URL) -> None:
        self._conn = sqlite3.connect(url.database or "", isolation_level=None)
        self._conn.execute("pragma journal_mode=wal")
        self._conn.execute("pragma synchronous=full")

    def fill(self, rows: int) -> None:
        self._conn.executescript(
            """
            drop table if exists hand;
            create table hand (id integer primary key, job integer not null,
                instant real not null, state integer not null default 0, due real not null,
                worker text, started real, finished real, args text, unique (job, instant));
            create index hand_ready on hand (due, id) where state = 0;
            """
        )
        self._conn.execute("begin immediate")
        self._conn.executemany(
            "insert into hand (job, instant, due, args) values (?, ?, ?, '{}')",
            ((n % 1000, -1 - n // 1000, n // 1000) for n in range(rows)),
        )
        self._conn.execute("commit")
        self._conn.execute("pragma wal_checkpoint(truncate)")

    def claim(self, batch: int) -> list[Any]:
        self._conn.execute("begin immediate")
        rows = self._conn.execute(
            "update hand set state = 1, worker = 'w', started = ? where id in (select id from hand"
            " where state = 0 and due <= 1e12 order by due, id limit ?) returning id, args",
            (time.time(), batch),
        ).fetchall()
        self._conn.execute("commit")
        return [row[0] for row in rows]

    def complete(self, ids: list[Any]) -> None:
        now = time.time()
        self._conn.execute("begin immediate")
        self._conn.executemany(
            "update hand set state = 2, finished = ? where id = ?",
            [(now, row_id) for row_id in ids],
        )
        self._conn.execute("commit")

    def insert(self, batch: int, instant: int) -> None:
        self._conn.execute("begin immediate")
        self._conn.executemany(
            "insert into hand (job, instant, due, args) values (?, ?, ?, '{}')"
            " on conflict do nothing",
            [(n, instant, instant) for n in range(batch)],
        )
        self._conn.execute("commit")


class PostgresLoop:
    """See `Loop`."""

    def __init__(self, url: URL) -> None:
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._conn = psycopg.connect(plain, autocommit=True)
        self._conn.prepare_threshold = 1
        self._conn.execute("set enable_seqscan = off")

    def fill(self, rows: int) -> None:
        self._conn.execute(
            """
            drop table if exists hand;
            create table hand (id bigint generated always as identity primary key,
                job bigint not null, instant bigint not null, state smallint not null default 0,
                due timestamptz not null default now(), worker text, started timestamptz,
                finished timestamptz, args jsonb, unique (job, instant));
            create index hand_ready on hand (due, id) where state = 0
            """
        )
        self._conn.execute(
            "insert into hand (job, instant, args)"
            " select n %% 1000, -1 - n / 1000, '{}' from generate_series(1, %s::int) n", (rows,),
        )  # fmt: skip
        self._conn.execute("vacuum analyze hand")

    def claim(self, batch: int) -> list[Any]:
        rows = self._conn.execute(
            "update hand set state = 1, worker = 'w', started = now() where id in"
            " (select id from hand where state = 0 and due <= now() order by due, id"
            " for update skip locked limit %s) returning id, args", (batch,),
        ).fetchall()  # fmt: skip
        return [row[0] for row in rows]

    def complete(self, ids: list[Any]) -> None:
        done = "update hand set state = 2, finished = now() where id = any(%s)"
        self._conn.execute(done, (ids,))

    def insert(self, batch: int, instant: int) -> None:
        self._conn.execute(
            "insert into hand (job, instant, args)"
            " select job, %s, '{}' from unnest(%s::bigint[]) job on conflict do nothing",
            (instant, list(range(batch))),
        )


class MariaLoop:
    """See `Loop`."""

    def __init__(self, url: URL) -> None:
        self._conn = pymysql.connect(
            host=url.host or "127.0.0.1",
            port=url.port or 3306,
            user=url.username or "root",
            password=url.password or "",
            database=url.database,
        )
        self._cursor = self._conn.cursor()

    def fill(self, rows: int) -> None:
        self._cursor.execute("drop table if exists hand")
        self._cursor.execute(
            "create table hand (id bigint primary key auto_increment, job bigint not null,"
            " instant bigint not null, state smallint not null default 0, due datetime(6) not null,"
            " worker varchar(40), started datetime(6), finished datetime(6), args text,"
            " unique (job, instant), index hand_ready (state, due, id))"
        )
        for first in range(0, rows, 10_000):
            numbers = range(first, min(first + 10_000, rows))
            self._cursor.executemany(
                "insert into hand (job, instant, due, args) values (%s, %s, %s, '{}')",
                [(n % 1000, -1 - n // 1000, INSTANT) for n in numbers],
            )
        self._conn.commit()

    def claim(self, batch: int) -> list[Any]:
        self._cursor.execute(
            "select id, args from hand where state = 0 and due <= utc_timestamp(6)"
            " order by due, id limit %s for update skip locked", (batch,),
        )  # fmt: skip
        ids = [row[0] for row in self._cursor.fetchall()]
        if ids:
            self._cursor.execute(
                "update hand set state = 1, worker = 'w', started = utc_timestamp(6)"
                " where id in %s", (ids,),
            )  # fmt: skip
        self._conn.commit()
        return ids

    def complete(self, ids: list[Any]) -> None:
        self._cursor.execute(
            "update hand set state = 2, finished = utc_timestamp(6) where id in %s", (ids,)
        )
        self._conn.commit()

    def insert(self, batch: int, instant: int) -> None:
        self._cursor.executemany(
            "insert ignore into hand (job, instant, due, args) values (%s, %s, %s, '{}')",
            [(n, instant, INSTANT) for n in range(batch)],
        )
        self._conn.commit()
