"""An aware datetime is one, whatever its class; what has an IANA name is a zone."""

from __future__ import annotations

import datetime as standard
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil import tz as dateutil_zones

from duly import Scheduler, VirtualClock, at, blackout, calendar, cron, every, rrule, weekends
from duly.clock import aware_utc
from duly.errors import ConfigurationError, NaiveDatetimeError, TriggerError

MADRID = ZoneInfo("Europe/Madrid")
HONOLULU, TONGA = ZoneInfo("Pacific/Honolulu"), ZoneInfo("Pacific/Tongatapu")
NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)


class Timedelta(timedelta):
    """What pandas gives for the difference of two timestamps."""


class Timestamp(datetime):
    """A datetime as pandas has it: arithmetic stays in its class and its narrower range."""

    def __add__(self, other: timedelta) -> Timestamp:
        moment = super().__add__(other)
        if not 1678 <= moment.year <= 2261:
            raise OverflowError("out of bounds nanosecond timestamp")
        return moment

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        found = super().__sub__(other)
        if isinstance(found, datetime):
            return found
        return Timedelta(days=found.days, seconds=found.seconds, microseconds=found.microseconds)

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return super().isoformat(sep, timespec) + " (nanoseconds)"


class FakeDatetime(datetime):
    """A datetime as freezegun has it."""


class Pytz(tzinfo):
    """A zone as pytz has it."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._zone = ZoneInfo(zone)

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return self._zone.utcoffset(None if moment is None else moment.replace(tzinfo=self._zone))

    def dst(self, _moment: datetime | None) -> timedelta | None:
        return timedelta()

    def tzname(self, _moment: datetime | None) -> str:
        return self.zone


KINDS = [Timestamp, FakeDatetime, datetime]
ZONES = [UTC, MADRID, timezone(timedelta(hours=2)), Pytz("Europe/Madrid"), dateutil_zones.UTC]


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    made = Scheduler(prepared_sqlite_url, clock=VirtualClock(NOW))

    @made.task()
    def work() -> None: ...

    yield made
    made.stop(grace=0)
    made.store.dispose()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: type(zone).__name__)
def test_U17_an_aware_datetime_of_any_class_is_one(
    scheduler: Scheduler, kind: type[datetime], zone: tzinfo
) -> None:
    """In triggers, options, calls and queries; what is kept is a plain datetime in UTC."""
    moment = kind(2026, 5, 4, 12, 30, tzinfo=zone)
    plain = moment.astimezone(UTC).timestamp()
    kept = at(moment).instant
    assert (type(kept), kept.tzinfo, kept.timestamp()) == (datetime, UTC, plain)
    assert type(aware_utc(moment, "moment")) is datetime
    job = scheduler.add(
        "work", every(hours=1, anchor=moment), id="a", start=moment, end=moment.replace(year=2027)
    )
    assert job.options.start is not None
    assert job.options.start.timestamp() == plain
    run = scheduler.run(scheduler.enqueue("work", at=moment))
    assert run.due_at.timestamp() == plain
    assert scheduler.runs(since=moment, until=moment.replace(year=2028)) == []
    trigger = cron("30 9 * * *", tz="Europe/Madrid")
    assert trigger.next_after(moment) is not None
    for each in (every(hours=1), calendar(days=1), rrule("FREQ=DAILY"), at(moment)):
        each.excluding(blackout((moment, moment.replace(year=2027)))).bind(anchor=moment)
        each.next_after(moment)
        each.due(moment, moment.replace(year=2027), keep=2)


def test_U17_a_naive_datetime_of_any_class_is_refused() -> None:
    """A subclass gains nothing by being one."""
    for kind in KINDS:
        with pytest.raises(NaiveDatetimeError):
            at(kind(2026, 5, 4))


ZONE_OBJECTS = [
    (MADRID, "Europe/Madrid"),
    (Pytz("Europe/Madrid"), "Europe/Madrid"),
    (dateutil_zones.gettz("Europe/Madrid"), "Europe/Madrid"),
    (timezone.utc, "UTC"),  # noqa: UP017 - as users write it
    (ZoneInfo("UTC"), "UTC"),
    (Pytz("UTC"), "UTC"),
    (dateutil_zones.UTC, "UTC"),
    (standard.timezone(timedelta()), "UTC"),
]


@pytest.mark.parametrize(("zone", "name"), ZONE_OBJECTS)
def test_U17_what_has_an_iana_name_is_a_zone(zone: Any, name: str) -> None:
    """As a name or as an object of zoneinfo, datetime, pytz or dateutil, wherever a zone goes."""
    scheduler = Scheduler("sqlite:///unused.db", timezone=zone)
    assert scheduler.settings.timezone == name
    assert cron("0 9 * * *", tz=zone) == cron("0 9 * * *", tz=name)
    assert calendar(days=1, tz=zone).tz == name
    assert rrule("FREQ=DAILY", tz=zone).tz == name
    assert every(hours=1).excluding(weekends(), tz=zone).tz == name


@pytest.mark.parametrize(
    "zone", [timezone(timedelta(hours=2)), dateutil_zones.tzoffset(None, 7200), 5, object()]
)
def test_U17_a_fixed_offset_is_not_a_zone(zone: Any) -> None:
    """It does not follow clock changes; the message says what to write."""
    with pytest.raises(
        TriggerError, match=r"must be an IANA zone name.*a fixed offset is not a zo"
    ):
        cron("0 9 * * *", tz=zone)
    with pytest.raises(ConfigurationError, match="is not an IANA time zone"):
        Scheduler("sqlite:///unused.db", timezone=zone)


@pytest.mark.parametrize("zone", [UTC, HONOLULU, TONGA, MADRID], ids=str)
def test_U17_the_far_ends_of_time_are_drawn_in(scheduler: Scheduler, zone: tzinfo) -> None:
    """``datetime.max`` and ``datetime.min`` mean never and always, in any zone."""
    first, last = datetime.min.replace(tzinfo=zone), datetime.max.replace(tzinfo=zone)
    scheduler.add("work", at(last), id="never")
    scheduler.add("work", every(hours=1), id="always", start=first, end=last)
    run = scheduler.run(scheduler.enqueue("work", at=last))
    assert run.state == "scheduled"
    assert scheduler.runs(since=first, until=last) == [run]
    assert at(first).instant < NOW < at(last).instant
    triggers = (
        at(last), every(hours=1), every(days=400, anchor=last), cron("0 9 * * *", tz="Asia/Tokyo"),
        calendar(days=1), rrule("FREQ=DAILY"), cron("0 9 * * *").excluding(weekends()),
        every(hours=1).excluding(blackout((first, last.replace(year=2020)))),
    )  # fmt: skip
    for trigger in triggers:
        for moment in (first, last):
            found = trigger.next_after(moment)
            assert found is None or found.tzinfo is UTC
        assert trigger.next_after(NOW) is not None or trigger == at(first)
