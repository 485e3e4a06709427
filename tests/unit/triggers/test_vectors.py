"""160 cases computed by a brute-force program that shares no code with Duly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duly.triggers import cron
from tests.unit.triggers.helpers import fires, shown

HERE = Path(__file__).parent
CASES = json.loads((HERE / "vectors" / "cron.json").read_text())
SHARED = HERE.parents[3] / "shared" / "vectors" / "cron.json"


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['cron']} {c['zone']} {c['after']}")
def test_vector(case):
    """The fires of the case are found: all of them, in order, and no others."""
    found = fires(cron(case["cron"], tz=case["zone"]), case["after"], case["until"])
    assert shown(found) == case["fires"]


@pytest.mark.skipif(not SHARED.exists(), reason="the original vectors are not beside this checkout")
def test_the_copy_is_current():
    """The copy under ``vectors/`` equals the original, if that is beside the checkout."""
    assert json.loads(SHARED.read_text()) == CASES
