"""Low-water marks (engine rule 29): claims skip dead index entries and overlook no run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from duly import Scheduler
from duly.store.claims.query import claim_order
from duly.store.store import Store
from duly.worker.claims.claimer import Capacity
from duly.worker.claims.low_water import SCAN_EVERY
from tests.store.conftest import add_run, all_runs
from tests.worker.conftest import World
from tests.worker.internals import CLAIM_STATEMENT, claimer_of

BEFORE = timedelta(milliseconds=1)


class Claimant:
    """A worker that claims on request and executes nothing."""

    def __init__(self, scheduler: Scheduler) -> None:
        scheduler.task(name="work")(lambda: None)
        scheduler.tick()
        self.scheduler, self.store = scheduler, scheduler.store

    def claim(self, free: int, ahead: int = 0) -> list[str]:
        """Claim for free slots and prefetch more; return the runs' ids."""
        room = {"default": Capacity(free, ahead)}
        got = claimer_of(self.scheduler).claim(self.scheduler.worker_id or "", room, ["work"])
        assert got is not None
        return [held.id for held in got.claims]


@pytest.fixture
def claimant(world: World) -> Claimant:
    return Claimant(world.scheduler())


def add(store: Store, count: int = 1, **values: Any) -> list[str]:
    """Store ready runs as another process does; they were due ``ago`` seconds before now."""
    ago = values.pop("ago", timedelta(0))
    with store.write() as tx:
        return [add_run(tx, due_at=tx.now - ago, **values) for _ in range(count)]


def test_an_older_run_is_overtaken_for_a_second_at_most(world: World, claimant: Claimant) -> None:
    """With more runs than slots, a run that becomes ready before the mark is found in a second."""
    runs = add(claimant.store, 20)
    assert claimant.claim(2) == runs[:2]
    (older,) = add(claimant.store, ago=BEFORE)
    world.clock.advance(SCAN_EVERY - 0.001)
    marked = claimant.store.dialect.keeps_dead
    assert claimant.claim(2) == (runs[2:4] if marked else [older, runs[2]])
    world.clock.advance(0.001)
    assert claimant.claim(2) == ([older, runs[4]] if marked else runs[3:5])


def test_no_run_waits_while_a_slot_is_free(claimant: Claimant) -> None:
    """With free slots left, an older run before the mark is claimed too, and starts first."""
    runs = add(claimant.store, 4)
    assert claimant.claim(2) == runs[:2]
    (older,) = add(claimant.store, ago=BEFORE)
    assert claimant.claim(4) == [older, *runs[2:]]


@pytest.mark.parametrize("priority", [-7, -1, 1])
def test_a_more_urgent_run_is_found_at_once(claimant: Claimant, priority: int) -> None:
    """This holds whether or not runs of its priority were claimed before."""
    add(claimant.store, 3, priority=-1)
    add(claimant.store, 9, priority=2)
    claimant.claim(5)
    (urgent,) = add(claimant.store, priority=priority)
    assert claimant.claim(2)[0] == urgent


def test_a_scan_that_ends_early_proves_nothing_about_later_priorities(
    world: World, claimant: Claimant
) -> None:
    """If a scan finds only urgent runs, the marks of later priorities are dropped."""
    lazy = add(claimant.store, 9, priority=5)
    assert claimant.claim(2) == lazy[:2]
    (older,) = add(claimant.store, priority=5, ago=BEFORE)
    world.clock.advance(SCAN_EVERY)
    urgent = add(claimant.store, 2)
    assert claimant.claim(2) == urgent
    assert claimant.claim(2) == [older, lazy[2]]


def test_a_run_with_a_unique_key_is_not_lost_behind_prefetched_runs(
    claimant: Claimant,
) -> None:
    """Such a run is never prefetched; it gets the next free slot."""
    first = add(claimant.store, 3)
    (keyed,) = add(claimant.store, unique_key="k", unique_scope="until_start")
    rest = add(claimant.store, 6)
    assert claimant.claim(2) == first[:2]
    assert claimant.claim(0, 3) == [first[2], *rest[:2]]
    assert claimant.claim(1, 2) == [keyed, *rest[2:4]]


def test_runs_of_a_rolled_back_claim_are_found_again(
    claimant: Claimant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that is rolled back leaves the mark at its runs."""
    runs = add(claimant.store, 6)
    assert claimant.claim(1) == runs[:1]
    with monkeypatch.context() as broken:
        broken.setattr(CLAIM_STATEMENT, lost)
        with pytest.raises(ConnectionError):
            claimant.claim(2, 2)
    assert claimant.claim(2, 2) == runs[1:5]


def lost(*_args: object) -> None:
    raise ConnectionError("lost")


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_holds_whatever_becomes_ready_when(
    world: World, claimant: Claimant, seed: int
) -> None:
    """With runs of any age and priority and claims of any size, only new runs are overtaken.

    A run that waits is overtaken by runs that were claimed within a second after it became ready.
    A claim that has a place left leaves nothing waiting.
    """
    chance, ready = random.Random(seed), dict[str, float]()
    for _ in range(60):
        world.clock.advance(chance.choice([0, 0.05, 0.3]))
        now = world.clock.monotonic()
        for run_id in becoming_ready(claimant.store, chance):
            ready[run_id] = now
        free = chance.randint(1, 8)
        got = claimant.claim(free)
        for run_id in got:
            del ready[run_id]
        stored = all_runs(claimant.store)
        assert [claim_order(stored[held]) for held in got] == sorted(
            claim_order(stored[held]) for held in got
        )
        assert not ready or len(got) == free
        overtaken = {
            held: now - since
            for held, since in ready.items()
            if got and claim_order(stored[held]) < claim_order(stored[got[-1]])
        }
        assert all(waited < SCAN_EVERY for waited in overtaken.values()), overtaken


def becoming_ready(store: Store, chance: random.Random) -> Iterator[str]:
    for _ in range(chance.choice([0, 1, 1, 2, 4])):
        ago = timedelta(seconds=chance.choice([0, 0, 0.01, 0.5, 30]))
        yield from add(store, chance.randint(1, 3), ago=ago, priority=chance.choice([-3, 0, 0, 4]))
