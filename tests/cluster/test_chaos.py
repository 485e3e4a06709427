"""A short form of `make chaos`: with faults of every kind, every invariant holds on each database.

Durations are not checked, because the machine may be busy with other tests.
"""

from __future__ import annotations

import pytest

from tests.chaos import plain_sql
from tests.chaos.databases import DATABASES
from tests.chaos.experiment import Plan, reason_to_skip, run
from tests.chaos.fault_injector import KILL

SEEDS = {"sqlite": 11, "postgresql": 12, "mariadb": 13}


@pytest.mark.processes
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", DATABASES)
def test_every_invariant_holds_while_everything_breaks(database: str) -> None:
    """Workers are killed and paused, server and network fail, and no invariant is violated."""
    reason = reason_to_skip(database)
    if reason:
        pytest.skip(reason)
    seed, load = SEEDS[database], plain_sql.__name__
    figures = run(Plan(database, seconds=10, seed=seed, workers=4, rate=3, load=load, faked=0))
    assert not figures.broken, "\n".join(figures.lines())
    assert figures.faults[KILL] > 0
    assert figures.records.runs
