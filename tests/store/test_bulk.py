"""Inserting many rows: the same values as one by one, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Row, insert, select
from sqlalchemy.exc import IntegrityError

from duly.errors import DataRefused
from duly.model.identity import new_id
from duly.store import tables
from duly.store.sql.bulk_insert import CHUNK, insert_rows
from duly.store.store import Store
from tests.store.conftest import count

NOON = datetime(2026, 7, 1, 12, 0, 0, 123, tzinfo=UTC)
AWKWARD = [
    "", " ", "NULL", "null", "{}", '{"a":[1,2]}', "a,b", 'a"b', "a\\b", "\\", '"', "'", "a\nb\t",
    ":a", "%s", "%%", "$1", "ñ€𝄞", "é" * 150,
]  # fmt: skip
"""What somebody who writes statements by hand would get wrong."""


def job_row(number: int, **values: Any) -> dict[str, Any]:
    return {
        "id": f"job {number}", "uid": new_id(), "app": "app", "task": "work", "args": "{}",
        "trigger": "{}", "queue": "default", "state": "active", "origin": "api", "revision": 1,
        "tzdb": "2026a", "created_at": NOON, "updated_at": NOON,
    } | values  # fmt: skip


def held(store: Store, table: Any) -> list[Row[Any]]:
    with store.read() as conn:
        return list(conn.execute(select(table)).all())


def test_every_kind_of_value_is_stored_as_it_is(store: Store) -> None:
    """Instants of any zone, flags, large and small numbers, nothing at all, and awkward texts."""
    zone = timezone(timedelta(hours=-7, minutes=-30))
    rows = [
        job_row(
            number, args=value, task=value, declared=None if number % 2 else value,
            feeds=number % 3 == 0, fired_count=2**62 + number, revision=-number,
            next_fire_at=(NOON + timedelta(days=number)).astimezone(zone),
            last_nominal=NOON if number % 2 else None,
        )
        for number, value in enumerate(AWKWARD)
    ]  # fmt: skip
    with store.write() as tx:
        insert_rows(tx.conn, tables.job, rows)
    found = {row.id: row for row in held(store, tables.job)}
    assert len(found) == len(rows)
    for row in rows:
        stored = found[row["id"]]._mapping
        assert {name: stored[name] for name in row} == row
        assert (stored["consecutive_failures"], stored["options"]) == (0, None)


def test_numbers_with_a_fraction_are_stored_as_they_are(store: Store) -> None:
    """To the last bit."""
    rows = [{"name": f"q{n}", "rate_period": held, "rate": n} for n, held in enumerate([0.1, 1e-9])]
    with store.write() as tx:
        insert_rows(tx.conn, tables.queue, rows)
    assert {row.rate_period for row in held(store, tables.queue)} == {0.1, 1e-9}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_rows_that_are_all_alike_are_all_stored(store: Store, number: int) -> None:
    """Nothing in them says how many they are."""
    with store.write() as tx:
        done = insert_rows(tx.conn, tables.event, [{"at": NOON, "kind": "job.added"}] * number)
    assert (done, count(store, tables.event)) == (number, number)


def test_more_rows_than_one_statement_takes(store: Store) -> None:
    """All of them are stored, and counted."""
    rows = [{"tag": f"t{n}", "job_id": "j"} for n in range(2 * CHUNK + 1)]
    with store.write() as tx:
        assert insert_rows(tx.conn, tables.job_tag, rows) == len(rows)
    assert count(store, tables.job_tag) == len(rows)


def test_no_rows_are_no_statement(store: Store) -> None:
    """Nothing happens."""
    with store.write() as tx:
        assert insert_rows(tx.conn, tables.job_tag, []) == 0


def test_keys_that_are_taken_are_passed_over_when_asked(store: Store) -> None:
    """In the table, or by a row before it in the same call; what is there stays as it is."""
    with store.write() as tx:
        insert_rows(tx.conn, tables.job, [job_row(1, task="old")])
        rows = [job_row(2, task="first"), job_row(1), job_row(2), job_row(3)]
        done = insert_rows(tx.conn, tables.job, rows, on_conflict_ignore=True)
    assert done == (-1 if store.dialect.name == "mysql" else 2)
    assert {row.id: row.task for row in held(store, tables.job)} == {
        "job 1": "old", "job 2": "first", "job 3": "work",
    }  # fmt: skip


def test_a_key_that_is_taken_is_an_error_otherwise(store: Store) -> None:
    """Nothing is stored."""
    rows = [job_row(1), job_row(2), job_row(1)]
    with pytest.raises(DataRefused) as caught, store.write() as tx:
        insert_rows(tx.conn, tables.job, rows)
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert count(store, tables.job) == 0


def test_names_are_made_such_that_every_database_takes_them(store: Store) -> None:
    """As in any other statement."""
    with store.write() as tx:
        insert_rows(tx.conn, tables.job_tag, [{"tag": "a\x00b\ud800", "job_id": n} for n in "xy"])
        tx.conn.execute(insert(tables.job_tag), [{"tag": "a\x00b\ud800", "job_id": "z"}])
    assert len({row.tag for row in held(store, tables.job_tag)}) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_too_long_is_refused_and_never_cut(store: Store, number: int) -> None:
    """SQLite knows no lengths; the others say no, alone and among many."""
    if store.dialect.name == "sqlite":
        pytest.skip("SQLite knows no lengths")
    rows = [{"tag": "t" * (192 if n == 0 else 5), "job_id": f"{n}"} for n in range(number)]
    for ignore in (False, True):
        with pytest.raises(DataRefused), store.write() as tx:
            insert_rows(tx.conn, tables.job_tag, rows, on_conflict_ignore=ignore)
    assert count(store, tables.job_tag) == 0
