"""A short form of `make chaos`: everything breaks on each database, and what was promised holds.

Nothing is said here about how long anything takes: this machine may be busy with other tests.
"""

from __future__ import annotations

import pytest

from tests.chaos.campaign import Plan, run, why_not
from tests.chaos.faults import KILL
from tests.chaos.ground import GROUNDS

SEEDS = {"sqlite": 11, "postgresql": 12, "mariadb": 13}


@pytest.mark.processes
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", GROUNDS)
def test_every_invariant_holds_while_everything_breaks(database: str) -> None:
    """Workers are killed and stopped, the server and the network fail: no promise is broken."""
    reason = why_not(database)
    if reason:
        pytest.skip(reason)
    figures = run(Plan(database, seconds=10, seed=SEEDS[database], workers=4, rate=3, faked=0))
    assert not figures.broken, "\n".join(figures.lines())
    assert figures.faults[KILL] > 0
    assert figures.evidence.runs
