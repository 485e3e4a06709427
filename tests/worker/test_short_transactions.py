"""Engine rule 27: on SQLite Duly never blocks other writers for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from duly import Scheduler, every
from duly.store.store import Store
from duly.worker.adaptive_batch import BOUND, SMALLEST, AdaptiveBatch
from duly.worker.wakeup import Wakeup
from tests.store.conftest import add_run
from tests.worker.conftest import World, states
from tests.worker.internals import firing_batch, has_new_commits, worker_of
from tests.worker.test_statement_counts import SOON, cost_of


def on_a_file(tmp_path: Path, world: World) -> Store:
    """Return a store on a new SQLite file."""
    return Store(f"sqlite:///{tmp_path / 'batch.db'}", world.clock)


def test_rule_27_batches_shrink_until_they_are_short(tmp_path: Path, world: World) -> None:
    """At 10 ms a row, batches soon take less than the bound."""
    batch = AdaptiveBatch(on_a_file(tmp_path, world), 1000)
    for _turn in range(10):
        batch.record(batch.size, 0.002 * batch.size)
    assert SMALLEST <= batch.size <= BOUND / 0.002
    for _turn in range(10):
        batch.record(batch.size, 0.00001 * batch.size)
    assert batch.size == 1000


def test_rule_27_a_partial_batch_does_not_grow_the_next(tmp_path: Path, world: World) -> None:
    """Only a full batch that was quick doubles the next one."""
    batch = AdaptiveBatch(on_a_file(tmp_path, world), 1000)
    before = batch.size
    batch.record(1, 0.003)
    assert batch.size == before


@contextmanager
def slow_updates(world: World, scheduler: Scheduler, seconds: float) -> Iterator[None]:
    """Make every statement that moves cursors take this long."""

    def slow(_conn: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if sql.startswith("UPDATE") and "duly_job" in sql:
            world.clock.advance(seconds)

    event.listen(scheduler.store.engine, "before_cursor_execute", slow)
    yield
    event.remove(scheduler.store.engine, "before_cursor_execute", slow)


def test_rule_27_a_worker_whose_firing_is_slow_fires_smaller_batches(world: World) -> None:
    """On a server, where writers do not block each other, the batch size stays."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    for number in range(300):
        scheduler.add("work", every(hours=1), id=f"j{number:03}")
    scheduler.tick()
    batch = firing_batch(scheduler)
    before = batch.size
    with slow_updates(world, scheduler, 0.1):
        world.forward(scheduler, 3600)
    on_file = scheduler.store.dialect.name == "sqlite"
    assert (batch.size < before / 2) is on_file
    assert states(scheduler.runs(limit=500)) == ["succeeded"] * 300


def test_rule_27_an_idle_tick_writes_nothing(world: World) -> None:
    """An idle tick reads once and takes no write lock."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.add("work", every(hours=1), id="j")
    scheduler.tick()
    world.clock.advance(SOON.total_seconds())
    with cost_of(scheduler) as cost:
        worker_of(scheduler).tick()
    assert [sql.split()[0] for sql in cost.statements] == ["SELECT"]
    assert cost.transactions == 1


@pytest.mark.parametrize("own", [True, False], ids=["own", "another"])
def test_rule_27_a_commit_is_seen_on_a_connection_that_never_writes(
    tmp_path: Path, world: World, own: bool
) -> None:
    """This includes commits of this process, since no connection sees its own as changes."""
    store, other = on_a_file(tmp_path, world), on_a_file(tmp_path, world)
    store.prepare()
    wakeup = Wakeup(store)
    wakeup.arm()
    assert not has_new_commits(wakeup)
    with (store if own else other).write() as tx:
        add_run(tx)
    assert has_new_commits(wakeup)
    assert not has_new_commits(wakeup)
    wakeup.close()
    store.dispose()
    other.dispose()
