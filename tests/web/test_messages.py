"""Messages of errors that differ only in numbers, ids and quotations are alike."""

from __future__ import annotations

import pytest

from duly.web.dashboard.messages import MAX_LENGTH, common_part, pattern_of


@pytest.mark.parametrize(
    ("message", "pattern", "part"),
    [
        ("no answer after 12 ms", "no answer after … ms", "no answer after"),
        ("order 7 of 'cust-7' was lost", "order … of … was lost", "was lost"),
        ("can't open a user's file", "can't open a user's file", "can't open a user's file"),
        ("run 3f2a9c1e-0000-7000-92b5-2e45328a2cbe is gone", "run … is gone", "is gone"),
        ("see 0X7F12ab there", "see … there", "there"),
        ("wrong password=[hidden] at 12:30:01", "wrong password=… at …", "wrong password="),
        ("added decade facade", "added decade facade", "added decade facade"),
        ("first line\nsecond", "first line", "first line"),
        ("12", "…", None),
        ("", "", None),
        (None, "", None),
    ],
)
def test_patterns(message: str | None, pattern: str, part: str | None) -> None:
    """What differs becomes a gap; the longest part without one can be searched for."""
    assert pattern_of(message) == pattern
    assert common_part(pattern) == part


def test_a_long_message_is_cut() -> None:
    """Between two words."""
    pattern = pattern_of("word " * 1000)
    assert len(pattern) <= MAX_LENGTH + 2
    assert pattern.endswith("word …")


def test_no_message_takes_long() -> None:
    """Of whatever text it is: this would take minutes if it were quadratic."""
    for text in ("'" * 100_000, "0x" * 100_000, "1." * 100_000, "a-" * 100_000):
        assert len(pattern_of(text)) <= MAX_LENGTH + 2
