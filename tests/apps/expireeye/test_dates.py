"""What an expiry date means."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.expireeye.dates import (
    BadDate,
    Expiry,
    last_good_day,
    parse_expiry,
    to_wire,
)
from apps.zones import is_time_zone, time_zones
from tests.apps.expireeye.world import World


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_10_a_bare_date_is_good_through_its_day_in_the_owners_zone(world: World) -> None:
    """2026-01-31 in Tokyo ends at 15:00 UTC, not before."""
    kenji = world.person("kenji@example.com", zone="Asia/Tokyo")
    item = world.item(kenji, "Milk", "2026-01-31")
    shown = kenji.get(f"/user-products/{item}").json()
    assert (shown["expiryDate"], shown["expiryIsDateOnly"]) == ("2026-01-31T15:00:00Z", True)
    world.clock.set(at("2026-01-31T14:59:55+00:00"))
    world.tick()  # makes up for the jump
    world.tick()
    assert world.clock.now() == at("2026-01-31T15:00:00+00:00")
    assert world.items()[item].status == "active"
    world.tick()
    assert world.items()[item].status == "expired"


def test_11_an_offset_is_respected(world: World) -> None:
    """01:00 at +05:30 is 19:30 UTC on the day before."""
    ana = world.person("ana@example.com")
    product = ana.post("/products", name="Milk").json()["id"]
    answer = ana.post("/user-products", productId=product, expiryDate="2026-06-01T01:00:00+05:30")
    assert answer.status_code == 201
    assert answer.json()["expiryDate"] == "2026-05-31T19:30:00Z"
    assert answer.json()["expiryIsDateOnly"] is False


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-06-01T10:00", "Europe/Madrid", "2026-06-01T08:00:00+00:00"),
        ("2026-06-01 10:00:30", "Europe/Madrid", "2026-06-01T08:00:30+00:00"),
        ("2026-06-01t10:00:30.5z", "Europe/Madrid", "2026-06-01T10:00:30.500000+00:00"),
        ("2026-06-01T10:00-0330", "Asia/Tokyo", "2026-06-01T13:30:00+00:00"),
        # the clocks skip 02:00 to 03:00, and repeat it in autumn
        ("2026-03-29T02:30", "Europe/Madrid", "2026-03-29T01:30:00+00:00"),
        ("2026-10-25T02:30", "Europe/Madrid", "2026-10-25T00:30:00+00:00"),
        # this day's following midnight does not exist: clocks went from 23:59:59 to 01:00
        ("2018-11-03", "America/Sao_Paulo", "2018-11-04T03:00:00+00:00"),
        # the day after was skipped as a whole
        ("2011-12-29", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
    ],
)
def test_local_times_are_the_owners(text: str, zone: str, instant: str) -> None:
    """A text without offset is read on the owner's wall clock."""
    assert parse_expiry(text, zone).instant == at(instant)


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "2026-02-30", "2026-13-01", "20260131", "2026-W05-6", "2026-01-31T",
        "2026-01-31T25:00", "2026-01-31T10", "9999-12-31", "0001-01-01T00:00+14:00",
        "2026-01-31T10:00+99:00", "2026-01-31 10:00 Z", "1769904000", "٢٠٢٦-01-31T10:00",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """Whatever names no instant is an error that says what would."""
    with pytest.raises(BadDate, match="2026-01-31T18:00"):
        parse_expiry(text, "UTC")


@given(
    day=st.dates(min_value=date(1971, 1, 1), max_value=date(2037, 12, 30)),
    zone=st.sampled_from(time_zones()),
)
def test_a_bare_date_ends_with_its_last_local_moment(day: date, zone: str) -> None:
    """One microsecond before the instant it is still that day; at the instant it is not."""
    expiry = parse_expiry(day.isoformat(), zone)
    local = (expiry.instant - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
    assert local.date() <= day
    assert expiry.instant.astimezone(ZoneInfo(zone)).date() > day
    assert last_good_day(expiry, zone) == local.date()


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read_back(moment: datetime) -> None:
    """The API's own output is a valid input and means the same instant."""
    assert parse_expiry(to_wire(moment), "Asia/Tokyo") == Expiry(moment)


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "localtime", "CEST+1", "utc"])
def test_unknown_zones_are_refused(name: str) -> None:
    """Only names of the time zone database count."""
    assert not is_time_zone(name)
