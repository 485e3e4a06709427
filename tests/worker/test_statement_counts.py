"""The cost of a fire: statements and transactions, for one run and in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from duly import Scheduler, Watch, every
from tests.worker.conftest import World, states
from tests.worker.internals import assume_short_runs, worker_of

SOON = timedelta(milliseconds=200)
"""Before anything that is done from time to time comes round."""


@dataclass(slots=True)
class Cost:
    """What was sent to the database."""

    statements: list[str] = field(default_factory=list)
    transactions: int = 0


@contextmanager
def cost_of(scheduler: Scheduler) -> Iterator[Cost]:
    """Count a scheduler's statements and transactions, without BEGIN and COMMIT."""
    engine, cost = scheduler.store.engine, Cost()

    def executed(_conn: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if not sql.startswith("BEGIN"):
            cost.statements.append(sql)

    def began(_conn: Any) -> None:
        cost.transactions += 1

    event.listen(engine, "before_cursor_execute", executed)
    event.listen(engine, "begin", began)
    yield cost
    event.remove(engine, "before_cursor_execute", executed)
    event.remove(engine, "begin", began)


def firing_soon(world: World, jobs: int) -> Scheduler:
    """Return an idle worker whose jobs fire at the same moment soon."""
    scheduler = world.scheduler(queues={"default": 10})
    scheduler.task(name="work")(lambda: None)
    anchor = world.clock.now() + SOON
    for number in range(jobs):
        scheduler.add("work", every(seconds=60, anchor=anchor), id=f"j{number:04}")
    scheduler.tick()
    return scheduler


def test_one_fire_costs_three_transactions_and_few_statements(world: World) -> None:
    """Fire, complete, look ahead.

    PostgreSQL counts the outcome in the statement that ends the run; elsewhere that is another one.
    MariaDB cannot say what an insert passed over: it is asked.
    """
    scheduler = firing_soon(world, 1)
    world.clock.advance(SOON.total_seconds())
    with cost_of(scheduler) as cost:
        worker_of(scheduler).tick()
    assert states(scheduler.runs()) == ["succeeded"]
    statements = {"postgresql": 7, "sqlite": 8, "mysql": 9}[scheduler.store.dialect.name]
    assert (cost.transactions, len(cost.statements)) == (3, statements), cost.statements


def test_in_bulk_a_run_costs_less_than_a_tenth_of_a_statement(world: World) -> None:
    """Hundreds of jobs fire at one moment, are claimed on insert, and are completed together."""
    scheduler = firing_soon(world, 400)
    assume_short_runs(scheduler)
    world.clock.advance(SOON.total_seconds())
    with cost_of(scheduler) as cost:
        scheduler.tick()
    assert states(scheduler.runs(limit=500)) == ["succeeded"] * 400
    assert len(cost.statements) < 0.1 * 400, len(cost.statements)


@pytest.mark.parametrize(
    ("rule", "updates"),
    [(Watch(failing_after=3), 0), (Watch(expected_every=3600, late_after=60, failing_after=3), 1)],
)
def test_a_watched_job_costs_no_statement_of_its_own(
    world: World, rule: Watch, updates: int
) -> None:
    """Jobs are checked together; those that only a failure can make break a rule, not at all."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    for number in range(60):
        scheduler.add("work", every(days=1), id=f"j{number}", watch=rule)
    scheduler.tick()
    world.clock.advance(61)
    with cost_of(scheduler) as cost:
        scheduler.tick()
    sent = [sql for sql in cost.statements if sql.startswith("UPDATE duly_job SET watch_at")]
    assert len(sent) == updates
    assert len(cost.statements) < 30, cost.statements
