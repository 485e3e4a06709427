"""Instants are stored exactly and in UTC, and sort by time, whatever the time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from sqlalchemy.dialects import sqlite

from duly.errors import DulyError
from duly.model.checks import LATEST
from duly.store import tables
from duly.store.sql.columns import Instant
from duly.store.store import Store
from tests.store.conftest import add_job, add_run

EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
ODD = [
    EARLIEST,
    datetime(1582, 10, 4, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Madrid"), fold=0),
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Madrid"), fold=1),
    datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    LATEST,
]


def stored(store: Store, moment: datetime) -> datetime:
    """Return the instant as it is read back from the database."""
    with store.write() as tx:
        tx.conn.execute(update(tables.job).values(next_fire_at=moment))
    with store.read() as conn:
        found: datetime = conn.execute(select(tables.job.c.next_fire_at)).scalar_one()
    return found


@pytest.mark.parametrize("moment", ODD, ids=lambda moment: moment.isoformat())
def test_an_instant_is_read_back_exactly(store: Store, moment: datetime) -> None:
    """It is in UTC and equal to the microsecond, although the server's zone is Asia/Kathmandu."""
    with store.write() as tx:
        add_job(tx, "j")
    again = stored(store, moment)
    assert again == moment.astimezone(UTC)
    assert again.tzinfo is UTC
    assert again.microsecond == moment.microsecond


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=st.lists(st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None)),
                        min_size=1, max_size=20))  # fmt: skip
def test_instants_sort_in_the_database_as_they_do_in_time(
    store: Store, moments: list[datetime]
) -> None:
    """Texts on SQLite sort by time, and compare with parameters by time."""
    aware = [moment.replace(tzinfo=UTC) for moment in moments]
    with store.write() as tx:
        tx.conn.execute(tables.run.delete())
        for moment in aware:
            add_run(tx, due_at=moment)
    with store.read() as conn:
        due = tables.run.c.due_at
        assert list(conn.execute(select(due).order_by(due)).scalars()) == sorted(aware)
        earlier = conn.execute(select(due).where(due < aware[0])).scalars()
        assert sorted(earlier) == sorted(moment for moment in aware if moment < aware[0])


def test_none_is_read_back_as_none(store: Store) -> None:
    """A missing instant is stored as NULL."""
    with store.write() as tx:
        add_job(tx, "j", next_fire_at=None)
    with store.read() as conn:
        assert conn.execute(select(tables.job.c.next_fire_at)).scalar_one() is None


def test_a_naive_datetime_never_reaches_the_database(store: Store) -> None:
    """Writing it and comparing with it both raise an error of Duly's."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001

    def write() -> None:
        with store.write() as tx:
            add_run(tx, due_at=naive)

    def compare() -> None:
        with store.read() as conn:
            conn.execute(select(tables.run.c.id).where(tables.run.c.due_at < naive))

    for act in (write, compare):
        with pytest.raises(DulyError, match=r"is the naive datetime '2026-01-01T00:00:00'"):
            act()


def test_texts_on_sqlite_have_a_fixed_width() -> None:
    """This includes years before 1000 and whole seconds; otherwise they would not sort by time."""
    write = Instant().process_bind_param
    texts = [write(moment, sqlite.dialect()) for moment in ODD]
    assert {len(str(written)) for written in texts} == {len("2026-01-01T00:00:00.000000+00:00")}
    assert texts[0] == "0002-01-01T00:00:00.000000+00:00"


def test_the_time_zone_of_a_session_has_no_effect(store: Store) -> None:
    """Duly reads the same instants on a host's connection that has its own time zone."""
    if store.dialect.name != "postgresql":
        pytest.skip("only PostgreSQL converts instants to the time zone of the session")
    moment = datetime(2026, 5, 4, 12, tzinfo=UTC)
    with store.write() as tx:
        add_job(tx, "j", next_fire_at=moment)
    for zone in ("America/St_Johns", "Pacific/Kiritimati", "UTC"):
        with store.engine.connect() as conn:
            conn.execute(text(f"set time zone '{zone}'"))
            again = conn.execute(select(tables.job.c.next_fire_at)).scalar_one()
            assert (again, again.tzinfo) == (moment, UTC)
