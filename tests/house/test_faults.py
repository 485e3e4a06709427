"""Every report that users or attackers made has a test of its own."""

from __future__ import annotations

import re

import pytest

from tests.support.sources import ROOT

REPORTS = (
    *(f"U{number:02}" for number in range(1, 28)),
    *(f"E{number:02}" for number in range(1, 23)),
    *(f"S{number:02}" for number in range(1, 7)),
)
TESTS = "\n".join(path.read_text() for path in sorted(ROOT.glob("tests/faults/test_*.py")))


@pytest.mark.parametrize("report", REPORTS)
def test_each_report_has_a_test(report: str) -> None:
    """A fault that was reported once has a test that names its number."""
    assert re.search(rf"^(?:async )?def test_{report}_\w", TESTS, re.MULTILINE), report


def test_no_other_number_is_used() -> None:
    """A mistyped number would name a report that does not exist."""
    used = set(re.findall(r"^(?:async )?def test_([A-Z]\d+)_", TESTS, re.MULTILINE))
    assert used == set(REPORTS)
