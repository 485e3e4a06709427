"""Time is injected: the system clock, and a virtual clock that moves only when advanced."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest

from duly import SystemClock, VirtualClock
from duly.clock import aware_utc
from duly.errors import NaiveDatetimeError
from duly.store.server_time import ServerTime

START = datetime(2026, 1, 1, tzinfo=UTC)


class Zoneless(tzinfo):
    """A zone without an offset: a datetime in it is still naive."""

    def utcoffset(self, _moment: datetime | None) -> None: ...
    def dst(self, _moment: datetime | None) -> None: ...
    def tzname(self, _moment: datetime | None) -> None: ...


def test_a_virtual_clock_stands_still_until_it_is_advanced() -> None:
    """The wall clock and the monotonic clock stand still and advance together."""
    clock = VirtualClock()
    assert (clock.now(), clock.monotonic()) == (START, 0)
    assert clock.advance(1.5) == START + timedelta(seconds=1.5)
    assert clock.advance(minutes=1, hours=1) == START + timedelta(seconds=3661.5)
    assert clock.monotonic() == 3661.5


def test_setting_the_wall_clock_back_leaves_the_monotonic_clock_alone() -> None:
    """Only the wall clock steps back, as it does when an administrator sets it."""
    clock = VirtualClock()
    clock.advance(100)
    clock.set(START)
    assert (clock.now(), clock.monotonic()) == (START, 100)
    clock.set(START + timedelta(seconds=5))
    assert clock.monotonic() == 105


def test_a_virtual_clock_is_in_utc() -> None:
    """Instants in any zone are converted to UTC."""
    madrid = timezone(timedelta(hours=2))
    clock = VirtualClock(datetime(2026, 5, 4, 14, tzinfo=madrid))
    assert clock.now() == datetime(2026, 5, 4, 12, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    assert clock.set(datetime(2026, 5, 4, 15, tzinfo=madrid)).tzinfo is UTC


def test_naive_datetimes_are_refused() -> None:
    """The error names the value, what is wrong with it and how to fix it."""
    naive = START.replace(tzinfo=None)
    with pytest.raises(
        NaiveDatetimeError,
        match=r"^VirtualClock\(start\) is the naive datetime '2026-01-01T00:00:00', which does "
        r"not identify an instant; attach a time zone, "
        r"for example value\.replace\(tzinfo=timezone\.utc\)$",
    ):
        VirtualClock(naive)
    with pytest.raises(NaiveDatetimeError, match=r"VirtualClock\.set\(moment\)"):
        VirtualClock().set(naive)
    with pytest.raises(NaiveDatetimeError, match="x is the naive"):
        aware_utc(naive.replace(tzinfo=Zoneless()), "x")
    with pytest.raises(ValueError, match="naive"):
        aware_utc(naive, "x")


def test_a_wait_ends_when_the_clock_has_advanced_far_enough() -> None:
    """A waiter returns once the clock has advanced by its whole timeout, and not before."""
    clock = VirtualClock()
    wake, began, ended = threading.Event(), threading.Event(), threading.Event()
    answers: list[bool] = []

    def wait() -> None:
        began.set()
        answers.append(clock.wait(wake, 10))
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert began.wait(5)
    clock.advance(9.9)
    assert not ended.wait(0.05)
    clock.advance(0.1)
    assert ended.wait(5)
    thread.join()
    assert answers == [False]


def test_a_wait_ends_when_its_event_is_set() -> None:
    """A set event ends the wait although the clock has not moved."""
    clock, wake = VirtualClock(), threading.Event()
    wake.set()
    assert clock.wait(wake, 1e9)
    assert not clock.wait(threading.Event(), 0)
    assert not clock.wait(threading.Event(), -5)


def test_the_system_clock_is_aware_and_monotonic() -> None:
    """`now` is in UTC, and `monotonic` never decreases."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    one, two = clock.monotonic(), clock.monotonic()
    assert two >= one
    wake = threading.Event()
    assert not clock.wait(wake, -1)
    wake.set()
    assert clock.wait(wake, 60)


# ----------------------------------------------------------------------- the server's clock


def test_without_a_reading_server_time_is_the_local_clock() -> None:
    """So it is on SQLite, and with a virtual clock."""
    clock = VirtualClock()
    assert ServerTime(clock).now() == START


def test_between_readings_server_time_follows_the_monotonic_clock() -> None:
    """A jump of the local wall clock between two readings changes nothing."""
    clock = VirtualClock()
    time = ServerTime(clock)
    server = START + timedelta(hours=7)
    time.measure(lambda: server)
    assert time.now() == server
    clock.advance(5)
    clock.set(START - timedelta(days=1))
    assert time.now() == server + timedelta(seconds=5)


def test_half_the_round_trip_is_added_to_the_answer() -> None:
    """The server read its clock halfway between the question and the answer."""
    clock = VirtualClock()
    time = ServerTime(clock)

    def slow() -> datetime:
        clock.advance(2)
        return START

    time.measure(slow)
    assert time.now() == START + timedelta(seconds=1)


def test_the_estimate_never_steps_back() -> None:
    """Engine rule 22: a reading distorted by its round trip must not make time run backwards."""
    clock = VirtualClock()
    time = ServerTime(clock)
    time.measure(lambda: START + timedelta(seconds=10))
    before = time.now()
    time.measure(lambda: START + timedelta(seconds=9.5))
    assert time.now() >= before
    clock.advance(3)
    assert time.now() == START + timedelta(seconds=12.5)


def test_rule_22_a_clock_that_was_set_is_followed_when_two_more_readings_agree() -> None:
    """A step of an hour is not a distorted reading: firing must not be suspended for that long."""
    for step in (timedelta(hours=-1), timedelta(hours=1)):
        clock = VirtualClock()
        time = ServerTime(clock)
        server = START + timedelta(hours=5)
        time.measure(lambda: server)  # noqa: B023 - asked at once
        time.now()
        for seconds in range(3):
            time.measure(lambda: server + step + timedelta(seconds=seconds))  # noqa: B023
            assert time.settled is (seconds == 2)
            if seconds < 2:
                assert time.now() == server + timedelta(seconds=seconds)
                clock.advance(1)
        assert time.now() == server + step + timedelta(seconds=2)
        assert time.steps() == [step]
        assert time.steps() == []


def test_rule_22_one_odd_reading_changes_nothing() -> None:
    """The next reading is as expected, and meanwhile time followed the monotonic clock."""
    clock = VirtualClock()
    time = ServerTime(clock)
    time.measure(lambda: START)
    time.measure(lambda: START + timedelta(hours=1))
    assert (time.settled, time.now()) == (False, START)
    clock.advance(1)
    time.measure(lambda: START + timedelta(seconds=1))
    assert (time.settled, time.now()) == (True, START + timedelta(seconds=1))
    assert time.steps() == []


def test_rule_22_readings_at_one_moment_do_not_confirm_each_other() -> None:
    """Two readings within a second count as one."""
    clock = VirtualClock()
    time = ServerTime(clock)
    time.now()
    clock.step(-3600)
    for _ in range(5):
        assert not time.settled
    assert time.now() == START
    for _ in range(2):
        clock.advance(1)
        time.now()
    assert time.settled
    assert time.now() == START + timedelta(seconds=2 - 3600)


def test_a_slow_answer_is_not_used_as_a_reading() -> None:
    """After a round trip of ten seconds it is unknown when the server read its clock."""
    clock = VirtualClock()
    time = ServerTime(clock)
    time.measure(lambda: START)

    def slow() -> datetime:
        clock.advance(10)
        return START + timedelta(seconds=10)

    time.measure(slow)
    assert time.settled
    assert time.now() == START + timedelta(seconds=10)
