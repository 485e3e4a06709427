"""Ids made without a database: random ones, and run ids that sort by time."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from duly.clock import VirtualClock
from duly.model.identity import RunIds, floor_id, new_id, run_ids

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def ids() -> RunIds:
    return RunIds()


def test_a_random_id_is_a_uuid_of_version_4() -> None:
    """Worker and job ids are random UUIDs in canonical form."""
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    for text in made:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)


def test_a_run_id_is_a_uuid_of_version_7_with_its_millisecond(ids: RunIds) -> None:
    """RFC 9562: version, variant, and the Unix time in milliseconds in the first 48 bits."""
    moment = NOON + timedelta(milliseconds=678)
    text = ids.make(moment)
    parsed = uuid.UUID(text)
    assert (str(parsed), parsed.version, parsed.variant) == (text, 7, uuid.RFC_4122)
    assert parsed.int >> 80 == int(moment.timestamp() * 1000)


def test_ids_rise_within_one_millisecond(ids: RunIds) -> None:
    """Ids keep rising even when the 12 bits after the milliseconds overflow."""
    made = [ids.make(NOON) for _ in range(5000)]
    assert made == sorted(set(made))
    assert made == sorted(made, key=lambda text: uuid.UUID(text).int)


def test_ids_rise_when_the_clock_steps_back(ids: RunIds) -> None:
    """When NTP sets the clock back five seconds, "newest first" must not be reversed."""
    before = ids.make(NOON)
    after = ids.make(NOON - timedelta(seconds=5))
    assert after > before


def test_a_clock_that_was_wrong_by_years_is_forgotten(ids: RunIds) -> None:
    """A machine whose clock once said 2099 does not keep making ids of 2099."""
    ids.make(NOON + timedelta(days=900))
    assert floor_id(NOON) <= ids.make(NOON) < floor_id(NOON + timedelta(milliseconds=1))


def test_each_clock_has_its_own_ids() -> None:
    """A virtual clock makes ids of its own time, whatever ran before in the same process."""
    one, other = VirtualClock(), VirtualClock()
    assert run_ids(one) is run_ids(one)
    run_ids(one).make(NOON + timedelta(hours=1))
    assert floor_id(NOON) <= run_ids(other).make(NOON) < floor_id(NOON + timedelta(milliseconds=1))


def test_ids_of_racing_threads_are_all_different(ids: RunIds) -> None:
    """Sixteen threads that make ids at one frozen instant never make a duplicate."""
    made: list[list[str]] = []
    start = threading.Barrier(16)

    def make() -> None:
        start.wait()
        made.append([ids.make(NOON) for _ in range(300)])

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stamps = {text[:18] for texts in made for text in texts}  # all but the random tail
    assert len(stamps) == 16 * 300
    assert all(texts == sorted(texts) for texts in made)


def test_the_floor_of_an_instant_separates_older_from_newer_ids(ids: RunIds) -> None:
    """ "since" filters compare ids: the floor of an instant is not above any id made then."""
    early = ids.make(NOON - timedelta(milliseconds=1))
    on_time = ids.make(NOON)
    assert early < floor_id(NOON) <= on_time
    assert str(uuid.UUID(floor_id(NOON))) == floor_id(NOON)


@pytest.mark.parametrize(
    "moment",
    [
        datetime.min.replace(tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
    ids=str,
)
def test_ids_and_floors_of_any_instant_are_uuids(ids: RunIds, moment: datetime) -> None:
    """``since=datetime.min`` means "all" and must not become text that a UUID column rejects."""
    for text in (floor_id(moment), ids.make(moment)):
        assert str(uuid.UUID(text)) == text
    assert floor_id(moment) <= ids.make(moment)
