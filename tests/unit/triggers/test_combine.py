"""Combined triggers: any of several, and all of them at the same instant."""

from __future__ import annotations

from datetime import timedelta

import pytest

from duly.errors import NaiveDatetimeError, TriggerError
from duly.triggers import all_of, any_of, at, cron, decode, encode, every
from tests.unit.triggers.helpers import cpu_seconds, fires, shown, utc

SPAN = utc("2026-01-01T00:00"), utc("2026-03-01T00:00")
NINE, FRIDAYS = cron("0 9 * * *"), cron("0 9,18 * * fri")


def test_any_of_is_the_union():
    """``any_of`` fires whenever one of its triggers does, and once if several do."""
    expected = sorted(set(fires(NINE, *SPAN)) | set(fires(FRIDAYS, *SPAN)))
    assert fires(any_of(NINE, FRIDAYS), *SPAN) == expected
    due = any_of(NINE, FRIDAYS).due(*SPAN, keep=2)
    assert (due.count, due.newest) == (len(expected), tuple(expected[-2:]))


def test_all_of_is_the_intersection():
    """``all_of`` fires when all of its triggers do."""
    expected = sorted(set(fires(NINE, *SPAN)) & set(fires(FRIDAYS, *SPAN)))
    assert fires(all_of(NINE, FRIDAYS), *SPAN) == expected
    thirteenth = all_of(cron("0 0 13 * *"), cron("0 0 * * fri"))
    assert shown(fires(thirteenth, "2026-01-01", "2026-12-31")) == [
        "2026-02-13T00:00:00Z",
        "2026-03-13T00:00:00Z",
        "2026-11-13T00:00:00Z",
    ]


def test_sparse_triggers_are_found():
    """The search finds 29 February on a Friday up to 40 years ahead."""
    trigger = all_of(cron("0 0 29 2 *"), cron("0 0 * * fri"), every(days=1))
    assert trigger.next_after(utc("2008-03-01")) == utc("2036-02-29")
    assert cpu_seconds(lambda: trigger.next_after(utc("2008-03-01"))) < 0.05


IMPOSSIBLE = [
    (cron("0 0 * * *"), cron("30 0 * * *")),
    (every(seconds=10), every(seconds=10, anchor=SPAN[0] + timedelta(seconds=3))),
    (cron("* * * * * *"), every(seconds=1, anchor=SPAN[0] + timedelta(microseconds=1))),
    (cron("0 0 1 * *"), cron("0 0 2 * *")),
]


@pytest.mark.parametrize("parts", IMPOSSIBLE, ids=str)
def test_triggers_without_a_shared_instant_are_rejected_quickly(parts):
    """Triggers that share no instant raise a clear error instead of searching forever."""
    with pytest.raises(TriggerError, match="share no instant"):
        all_of(*parts)
    assert cpu_seconds(lambda: all_of(*parts)) < 0.5


def test_triggers_without_a_shared_instant_once_bound_are_rejected_when_bound():
    """An interval without an anchor is examined when it is bound to one."""
    trigger = all_of(cron("0 0 * * *"), every(days=1))
    with pytest.raises(TriggerError, match="share no instant"):
        trigger.bind(tz="UTC", anchor=utc("2026-01-01T00:00:00.5"))


def test_all_of_ends_with_its_first_part_to_end():
    """When one part has no further fire, there is no shared one."""
    once = all_of(at(utc("2026-01-02T09:00")), NINE)
    assert once.next_after(SPAN[0]) == utc("2026-01-02T09:00")
    assert once.next_after(utc("2026-01-02T09:00")) is None
    assert any_of(at(SPAN[0]), at(SPAN[1])).next_after(SPAN[1]) is None


def test_due_stops_at_its_limit():
    """A search that goes from fire to fire stops at the limit and returns how far it got."""
    trigger = any_of(every(seconds=2), every(seconds=3))
    due = trigger.due(SPAN[0], SPAN[1], keep=1, limit=100)
    assert (due.count, due.complete) == (100, False)
    assert due.last == due.newest[-1] == SPAN[0] + timedelta(seconds=150)


def test_naive_ends_are_rejected():
    """Both ends of a period must be aware datetimes."""
    trigger = any_of(NINE, FRIDAYS)
    for span in ((SPAN[0].replace(tzinfo=None), SPAN[1]), (SPAN[0], SPAN[1].replace(tzinfo=None))):
        with pytest.raises(NaiveDatetimeError):
            trigger.due(*span, keep=1)


def test_parts_are_bound_and_stored():
    """Zone and anchor reach every part, and the combination survives encoding as JSON."""
    trigger = any_of(cron("0 9 * * *"), every(hours=2), all_of(NINE, FRIDAYS))
    bound = trigger.bind(tz="Europe/Madrid", anchor=SPAN[0])
    assert bound.tz is None
    assert bound.wall_clock
    assert decode(encode(bound)) == bound
    assert any_of(NINE, FRIDAYS).bind(tz="Asia/Tokyo").tz == "Asia/Tokyo"
    assert str(any_of(NINE, at(SPAN[0]))) == "at 09:00; or once, at 2026-01-01 00:00:00 UTC"


@pytest.mark.parametrize("parts", [(), (NINE,), (NINE,) * 51, (NINE, "0 9 * * *")], ids=len)
def test_invalid_parts_are_rejected(parts):
    """``any_of`` and ``all_of`` take two to fifty triggers."""
    for combine in (any_of, all_of):
        with pytest.raises(TriggerError):
            combine(*parts)


def test_deep_nesting_is_rejected_when_decoded():
    """JSON that nests triggers more than 20 deep raises a TriggerError."""
    text = encode(NINE)
    for _ in range(25):
        text = (
            f'{{"kind":"any_of","triggers":[{text},{text if len(text) < 100 else encode(NINE)}]}}'
        )
    with pytest.raises(TriggerError, match="20 deep"):
        decode(text)
