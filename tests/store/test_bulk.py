"""Bulk inserts store the same values as single inserts, on every database."""

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
"""Texts that hand-written statements may quote or escape wrongly."""


def job_row(number: int, **values: Any) -> dict[str, Any]:
    return {
        "id": f"job {number}", "uid": new_id(), "app": "app", "task": "work", "args": "{}",
        "trigger": "{}", "queue": "default", "state": "active", "origin": "api", "revision": 1,
        "tzdb": "2026a", "created_at": NOON, "updated_at": NOON,
    } | values  # fmt: skip


def stored_rows(store: Store, table: Any) -> list[Row[Any]]:
    with store.read() as conn:
        return list(conn.execute(select(table)).all())


def test_values_of_every_type_are_stored_unchanged(store: Store) -> None:
    """Instants of any zone, Booleans, large and negative numbers, NULL, and awkward texts."""
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
    found = {row.id: row for row in stored_rows(store, tables.job)}
    assert len(found) == len(rows)
    for row in rows:
        stored = found[row["id"]]._mapping
        assert {name: stored[name] for name in row} == row
        assert (stored["consecutive_failures"], stored["options"]) == (0, None)


def test_floats_are_stored_unchanged(store: Store) -> None:
    """They are equal to the last bit."""
    values = enumerate([0.1, 1e-9])
    rows = [{"name": f"q{n}", "rate_period": value, "rate": n} for n, value in values]
    with store.write() as tx:
        insert_rows(tx.conn, tables.queue, rows)
    assert {row.rate_period for row in stored_rows(store, tables.queue)} == {0.1, 1e-9}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_equal_rows_are_all_stored(store: Store, number: int) -> None:
    """Their number does not follow from differing values."""
    with store.write() as tx:
        inserted = insert_rows(tx.conn, tables.event, [{"at": NOON, "kind": "job.added"}] * number)
    assert (inserted, count(store, tables.event)) == (number, number)


def test_more_rows_than_one_statement_takes_are_stored(store: Store) -> None:
    """All of them are stored and counted."""
    rows = [{"tag": f"t{n}", "job_id": "j"} for n in range(2 * CHUNK + 1)]
    with store.write() as tx:
        assert insert_rows(tx.conn, tables.job_tag, rows) == len(rows)
    assert count(store, tables.job_tag) == len(rows)


def test_an_empty_list_stores_nothing(store: Store) -> None:
    """No statement is executed."""
    with store.write() as tx:
        assert insert_rows(tx.conn, tables.job_tag, []) == 0


def test_rows_with_taken_keys_can_be_skipped(store: Store) -> None:
    """A key is taken by a stored row, which stays unchanged, or by an earlier row of the call."""
    with store.write() as tx:
        insert_rows(tx.conn, tables.job, [job_row(1, task="old")])
        rows = [job_row(2, task="first"), job_row(1), job_row(2), job_row(3)]
        inserted = insert_rows(tx.conn, tables.job, rows, on_conflict_ignore=True)
    assert inserted == (-1 if store.dialect.name == "mysql" else 2)
    assert {row.id: row.task for row in stored_rows(store, tables.job)} == {
        "job 1": "old", "job 2": "first", "job 3": "work",
    }  # fmt: skip


def test_a_taken_key_is_an_error_by_default(store: Store) -> None:
    """No row is stored."""
    rows = [job_row(1), job_row(2), job_row(1)]
    with pytest.raises(DataRefused) as caught, store.write() as tx:
        insert_rows(tx.conn, tables.job, rows)
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert count(store, tables.job) == 0


def test_unstorable_characters_in_names_are_replaced(store: Store) -> None:
    """The result is the same as with a plain INSERT."""
    with store.write() as tx:
        insert_rows(tx.conn, tables.job_tag, [{"tag": "a\x00b\ud800", "job_id": n} for n in "xy"])
        tx.conn.execute(insert(tables.job_tag), [{"tag": "a\x00b\ud800", "job_id": "z"}])
    assert len({row.tag for row in stored_rows(store, tables.job_tag)}) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_a_value_that_is_too_long_is_refused_and_never_truncated(store: Store, number: int) -> None:
    """The databases that enforce lengths refuse it, in a single row and among many."""
    if store.dialect.name == "sqlite":
        pytest.skip("SQLite does not enforce lengths")
    rows = [{"tag": "t" * (192 if n == 0 else 5), "job_id": f"{n}"} for n in range(number)]
    for ignore in (False, True):
        with pytest.raises(DataRefused), store.write() as tx:
            insert_rows(tx.conn, tables.job_tag, rows, on_conflict_ignore=ignore)
    assert count(store, tables.job_tag) == 0
