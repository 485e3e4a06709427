"""A transactional job killed at any point leaves its effect exactly once (promise 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from duly import Heartbeat, Scheduler, prepare_engine
from tests.support.processes import Children
from tests.support.waiting import wait_until

CHARGER = Path(__file__).with_name("charger.py")
SEEDS = 50
PATIENT = Heartbeat(interval=2, rescue=1)
"""Finds the dead at once, since they lived on the same host, however slow the machine is."""


@pytest.fixture
def survivor(prepared_database_url: str) -> Iterator[Scheduler]:
    """A worker for all queues, each of which holds one enqueued call."""
    engine = prepare_engine(create_engine(prepared_database_url))
    with engine.begin() as conn:
        conn.execute(text("create table charge (n integer not null)"))
    engine.dispose()
    queues = {f"q{n}": 1 for n in range(SEEDS + 1)}
    made = Scheduler(prepared_database_url, heartbeat=PATIENT, queues=queues)

    @made.task(transactional=True)
    def charge(n: int, session: Session) -> None:
        session.execute(text("insert into charge (n) values (:n)"), {"n": n})

    for n in range(SEEDS + 1):
        made.enqueue(charge, n=n, queue=f"q{n}")
    yield made
    made.stop(grace=0)


@pytest.mark.processes
@pytest.mark.timeout(600)
def test_killed_at_any_of_50_points_it_charges_exactly_once(
    prepared_database_url: str, survivor: Scheduler, children: Children
) -> None:
    """Fifty processes are killed, each at another point between the claim and the commit's end."""
    survivor.store.dispose()
    child = children.python(CHARGER, prepared_database_url, str(SEEDS))
    found = child.wait_for(r"points (\d+) killed (\d+)", timeout=240)
    points, killed = int(found[1]), int(found[2])
    assert points > 15
    assert killed >= SEEDS - 10, child.output()
    with survivor.running():
        wait_until(lambda: survivor.status().live == {})
    runs = survivor.runs(task="charge", limit=1000)
    assert Counter(run.state for run in runs) == {"succeeded": SEEDS + 1}
    with survivor.store.engine.connect() as conn:
        charges = Counter(conn.execute(text("select n from charge")).scalars())
    assert charges == Counter(range(SEEDS + 1))
    # Some died before their commit and some after it, or this would prove nothing.
    crashed = sum(1 for run in runs if run.crashes)
    assert 5 <= crashed < killed
