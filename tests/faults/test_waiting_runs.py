"""Runs that wait for a slot of their job: who frees them, and what occupies the slot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from duly import Scheduler, Watch, every
from duly.errors import OverlapError
from duly.store import transitions
from tests.support.waiting import wait_until
from tests.worker.conftest import World, states, step

OTHER_CANNOT_ACT_S = 0.3
"""How long another transaction tries in vain to change a run that is locked."""


class Hanging:
    """A function that hangs until the test ends."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()

    def __call__(self) -> None:
        self.entered.release()
        assert self.leave.wait(240)

    def wait_entered(self) -> None:
        assert self.entered.acquire(timeout=240)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.leave.set()


def with_waiting_run(world: World, hanging: Hanging) -> tuple[Scheduler, str]:
    """A job whose first run executes and whose second one waits; the second one's id."""
    scheduler = world.scheduler()
    scheduler.task(name="hang", executor="auto")(hanging)
    scheduler.add("hang", every(seconds=10), id="j", overlap="queue")
    scheduler.tick()
    world.clock.advance(10)
    step(scheduler)
    hanging.wait_entered()
    world.clock.advance(10)
    step(scheduler)
    waiting = scheduler.runs(job="j", state="scheduled")[0].id
    return scheduler, waiting


def test_E01_a_run_is_locked_while_it_is_given_a_slot(
    world: World, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled run never starts, even when a worker frees its slot at the same instant."""
    scheduler, waiting = with_waiting_run(world, hanging)
    other = world.scheduler()
    other.prepare()
    acknowledged, overtook = threading.Event(), []

    def cancel() -> None:
        other.cancel(waiting)
        acknowledged.set()

    canceller = threading.Thread(target=cancel)
    give_slots = transitions.give_slots

    def after_another(*arguments: Any) -> None:
        canceller.start()
        overtook.append(acknowledged.wait(OTHER_CANNOT_ACT_S))
        give_slots(*arguments)

    monkeypatch.setattr(transitions, "give_slots", after_another)
    scheduler.pause("j")
    hanging.leave.set()

    def freed() -> bool:
        step(scheduler)
        return bool(overtook)

    wait_until(freed, what="the worker frees the waiting run")
    canceller.join(60)
    assert overtook == [False], "another transaction changed a run between its reading and writing"


def test_E01_a_cancelled_run_is_given_no_slot(world: World, hanging: Hanging) -> None:
    """The statement that frees runs names the state in which they were read."""
    scheduler, waiting = with_waiting_run(world, hanging)
    scheduler.cancel(waiting)
    with scheduler.store.write() as tx:
        transitions.give_slots(tx, [waiting])
    assert scheduler.run(waiting).state == "cancelled"


def test_E01_every_statement_that_moves_runs_names_the_state_it_was_read_in(
    world: World, hanging: Hanging
) -> None:
    """Runs are fired, claimed, retried, cancelled, freed; no statement overwrites blindly."""
    scheduler, waiting = with_waiting_run(world, hanging)
    moves: list[str] = []

    def catch(_conn: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if (
            "UPDATE duly_run" in sql
            and "state=" in sql.replace("state =", "state=").split("WHERE")[0]
        ):
            moves.append(sql)

    event.listen(scheduler.store.engine, "before_cursor_execute", catch)
    scheduler.cancel(waiting)
    hanging.leave.set()
    scheduler.tick()
    world.clock.advance(10)
    scheduler.tick()
    event.remove(scheduler.store.engine, "before_cursor_execute", catch)
    assert len(moves) >= 3
    for sql in moves:
        # A claim locks the runs that it has chosen by their state, in the same statement or before.
        claims = "attempt + " in sql
        assert claims or "state" in sql.split("WHERE", 1)[1], sql


def test_U23_a_job_that_is_added_again_does_not_wait_for_the_old_function(
    world: World, hanging: Hanging
) -> None:
    """A job was removed while its function hung: the new one with its id starts at once."""
    scheduler, _waiting = with_waiting_run(world, hanging)
    done: list[int] = []
    scheduler.task(name="work")(lambda: done.append(1))
    scheduler.remove("j")
    scheduler.add("work", every(seconds=10), id="j")
    world.clock.advance(10)

    def ran() -> bool:
        step(scheduler)
        return bool(done)

    wait_until(ran, what="the new job's run")

    def succeeded() -> bool:
        step(scheduler)
        return states(scheduler.runs(job="j"))[-1] == "succeeded"

    wait_until(succeeded, what="its success")


def test_U23_starting_or_retrying_by_hand_asks_only_the_same_incarnation(
    world: World, hanging: Hanging
) -> None:
    """Run now works while an old function hangs, and is refused while a new one does."""
    scheduler, _waiting = with_waiting_run(world, hanging)
    scheduler.remove("j")
    scheduler.add("hang", every(hours=10), id="j")
    scheduler.run_now("j")
    with pytest.raises(OverlapError):
        scheduler.run_now("j")


def test_U23_replacing_runs_leaves_the_old_incarnation_alone(
    world: World, hanging: Hanging
) -> None:
    """overlap="cancel_running" does not ask the function of the removed job to stop."""
    scheduler, _waiting = with_waiting_run(world, hanging)
    old = scheduler.runs(job="j", state="running")[0].id
    scheduler.remove("j")
    scheduler.add("hang", every(hours=10), id="j", overlap="cancel_running")
    scheduler.run_now("j")
    scheduler.run_now("j")
    assert not scheduler.run(old).cancel_requested


def test_U23_a_watch_reports_only_the_same_incarnation(world: World, hanging: Hanging) -> None:
    """An old function that hangs is not reported as the new job's overrun."""
    scheduler, _waiting = with_waiting_run(world, hanging)
    scheduler.remove("j")
    scheduler.add("hang", every(hours=10), id="j", watch=Watch(overrun_after=5))
    for _step in range(5):
        world.clock.advance(15)
        step(scheduler)
    assert "run.overrun" not in {event.kind for event in scheduler.events(job="j", limit=1000)}
