"""A worker that has lost its lease can no longer change anything, and its runs are not lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from duly import Retry, Run, Snooze
from duly.errors import DatabaseUnavailable
from duly.model.run import RunRecord
from duly.store import runs
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.internals import (
    die,
    lease_of,
    registration_of,
    replace_beat,
    unwritten,
    wakeup_event,
    worker_of,
    write_back,
)


class Stuck:
    """A run that hangs on one worker until the test releases it."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.started, self.leave = threading.Event(), threading.Event()
        self.first, self.second = world.scheduler(), world.scheduler()
        self.contexts: list[Run] = []

        @self.first.task(name="work", **options)
        def hang(run: Run) -> str:
            self.contexts.append(run)
            self.started.set()
            assert self.leave.wait(240)
            return "first"

        @self.second.task(name="work", **options)
        def work() -> str:
            return "second"

        self.second.tick()
        self.run_id = self.first.enqueue("work")
        step(self.first)
        assert self.started.wait(240)

    def run(self) -> RunRecord:
        """The run now."""
        return self.second.run(self.run_id)

    def kill_first(self) -> None:
        """Leave the first worker as the kernel leaves a killed process."""
        die(self.first)

    def let_second_notice(self) -> None:
        """Give the second worker one lease of contact and a rescue scan."""
        for _ in range(9):
            self.world.clock.advance(9)
            self.second.tick()


def test_a_dead_workers_run_is_started_again_as_a_further_attempt(world: World) -> None:
    """The run succeeds on another worker, and its crash is counted and recorded."""
    stuck = Stuck(world)
    stuck.kill_first()
    stuck.let_second_notice()
    run = stuck.run()
    assert (run.state, run.result, run.crashes, run.attempt) == ("succeeded", "second", 1, 2)
    assert [a.error_type for a in stuck.second.attempts(run.id)] == ["WorkerLost"]
    assert [event.kind for event in stuck.second.events(kind="worker.lost")] == ["worker.lost"]
    stuck.leave.set()


def test_a_late_completion_changes_nothing_and_is_recorded(world: World) -> None:
    """The result of a worker that was declared dead is refused (promise 4)."""
    stuck = Stuck(world)
    stuck.kill_first()
    stuck.let_second_notice()
    stuck.leave.set()
    wait_until(lambda: not stuck.first.in_flight())
    write_back(stuck.first)
    assert stuck.run().result == "second"
    (event,) = stuck.second.events(kind="run.late_completion")
    assert event.run_id == stuck.run_id


def test_a_run_whose_workers_keep_dying_ends_as_failed(world: World) -> None:
    """After its third crash the run fails instead of killing a fourth worker."""
    stuck = Stuck(world)
    with stuck.second.store.write() as tx:
        from duly.store import runs

        runs.change(tx, [stuck.run_id], crashes=2, quarantined=True)
    stuck.kill_first()
    stuck.let_second_notice()
    run = stuck.run()
    assert (run.state, run.error_type, run.crashes) == ("failed", "WorkerLost", 3)
    stuck.leave.set()


def test_a_rescue_raises_the_token(world: World) -> None:
    """The old worker's token is stale from the rescue on, before the next claim."""
    stuck = Stuck(world, on_crash="fail")
    token = stored_token(stuck)
    stuck.kill_first()
    stuck.let_second_notice()
    assert stored_token(stuck) == token + 1
    stuck.leave.set()


def stored_token(stuck: Stuck) -> int:
    """Return the token in the run's row."""
    with stuck.second.store.read() as conn:
        row = runs.find(conn, stuck.run_id)
    assert row is not None
    return int(row.token)


def test_on_crash_fail_never_repeats(world: World) -> None:
    """With ``on_crash="fail"`` a run fails when its worker dies, and waits for a person."""
    stuck = Stuck(world, on_crash="fail", retry=Retry(attempts=5))
    stuck.kill_first()
    stuck.let_second_notice()
    assert (stuck.run().state, stuck.run().attempt) == ("failed", 1)
    stuck.leave.set()


def test_a_crash_spends_no_attempt_of_the_retry_policy(world: World) -> None:
    """With one attempt and one crash, the run still gets its attempt."""
    stuck = Stuck(world)
    stuck.kill_first()
    stuck.let_second_notice()
    assert stuck.run().state == "succeeded"
    stuck.leave.set()


def test_a_worker_whose_row_was_removed_registers_again(world: World) -> None:
    """It stops its functions, drops its outcomes, and registers under another id."""
    stuck = Stuck(world)
    old = stuck.first.worker_id
    stuck.kill_first()
    stuck.let_second_notice()
    world.clock.advance(11)
    step(stuck.first)
    step(stuck.first)
    assert stuck.contexts[0].lease_lost
    assert stuck.contexts[0].cancelled
    stuck.leave.set()
    wait_until(lambda: not stuck.first.in_flight())
    step(stuck.first)
    assert stuck.first.worker_id not in (None, old)
    assert stuck.run().result == "second"


def test_an_outcome_of_a_fenced_registration_is_not_written_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write-back fails while the worker fences itself: the run is rescued, not completed."""
    stuck = Stuck(world)
    lease, store = lease_of(stuck.first), stuck.first.store
    stuck.leave.set()
    wait_until(lambda: not stuck.first.in_flight())

    def cut_off(*_any: object) -> None:
        lease.fence(lease.worker_id, "cut off")
        raise DatabaseUnavailable("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(store, "run", cut_off)
        with pytest.raises(DatabaseUnavailable):
            write_back(stuck.first)
    stuck.first.tick()
    stuck.let_second_notice()
    run = stuck.run()
    assert (run.state, run.crashes, run.attempt) == ("succeeded", 1, 2)


def test_a_server_worker_without_contact_fences_itself(prepared_postgresql_url: str) -> None:
    """After 50 s without a successful beat it fences itself, before others rescue its runs."""
    world = World(prepared_postgresql_url)
    stuck = Stuck(world)
    lease = lease_of(stuck.first)

    def away(*_any: object) -> None:
        raise DatabaseUnavailable("cut off")

    replace_beat(lease, away)
    for _ in range(4):
        world.clock.advance(10)
        lease.beat()
    assert lease.alive
    world.clock.advance(10)
    lease.beat()
    assert not lease.alive
    assert stuck.contexts[0].lease_lost
    stuck.leave.set()
    world.close()


def test_no_worker_is_declared_dead_right_after_an_outage(prepared_postgresql_url: str) -> None:
    """A rescuer that had no contact itself waits one lease before it declares a worker dead."""
    world = World(prepared_postgresql_url)
    stuck = Stuck(world)
    rescuer = lease_of(stuck.second)
    world.clock.advance(90)
    rescuer.contact_since = world.clock.monotonic()
    worker_of(stuck.second).tick()
    assert stuck.run().state == "running"
    stuck.leave.set()
    world.close()


def test_a_live_worker_on_sqlite_is_never_declared_dead(prepared_sqlite_url: str) -> None:
    """Its file lock proves that it is alive, however old its last beat is."""
    world = World(prepared_sqlite_url)
    stuck = Stuck(world)
    stuck.let_second_notice()
    stuck.let_second_notice()
    assert stuck.run().state == "running"
    stuck.leave.set()
    world.close()


def test_a_claim_needs_a_live_lease(prepared_postgresql_url: str) -> None:
    """A worker whose lease has expired claims nothing, even before it notices."""
    world = World(prepared_postgresql_url)
    scheduler = world.scheduler()

    @scheduler.task()
    def work() -> None: ...

    scheduler.tick()
    run_id = scheduler.enqueue(work)
    old = scheduler.worker_id
    world.clock.advance(61)
    registration_of(scheduler).last_beat = world.clock.monotonic()
    worker_of(scheduler).tick()
    assert scheduler.run(run_id).state == "ready"
    assert scheduler.worker_id != old
    scheduler.tick()
    assert scheduler.run(run_id).state == "succeeded"
    world.close()


def test_running_runs_without_a_worker_row_are_rescued(world: World) -> None:
    """A run whose worker's row was removed does not stay running forever."""
    stuck = Stuck(world)
    with stuck.second.store.write() as tx:
        from duly.store import workers

        workers.remove(tx, stuck.first.worker_id or "", None)
    stuck.let_second_notice()
    assert stuck.run().result == "second"
    stuck.leave.set()


def test_snooze_and_crash_do_not_confuse_the_count(world: World) -> None:
    """Attempts, crashes and snoozes are counted separately."""
    scheduler = world.scheduler()

    @scheduler.task(retry=Retry(attempts=2, wait=1, jitter=0))
    def odd(run: Run) -> None:
        if run.attempt == 1 and not scheduler.attempts(run.id) and run.now().second < 30:
            raise Snooze(seconds=30)
        raise ValueError("no")

    run_id = scheduler.enqueue(odd)
    scheduler.tick()
    for _ in range(4):
        world.forward(scheduler, 30)
    assert scheduler.run(run_id).attempt == 2
    assert len(scheduler.attempts(run_id)) == 2


def test_rule_05_an_ended_run_that_was_not_written_runs_again(world: World) -> None:
    """If the worker dies before it writes an outcome, the function is executed again."""
    stuck = Stuck(world)
    stuck.leave.set()
    wait_until(lambda: not stuck.first.in_flight())
    assert (stuck.run().state, unwritten(stuck.first)) == ("running", 1)
    stuck.kill_first()
    stuck.let_second_notice()
    run = stuck.run()
    assert (run.state, run.result, run.crashes, run.attempt) == ("succeeded", "second", 1, 2)


def test_rule_05_an_outcome_is_not_held_back_for_a_batch(world: World) -> None:
    """The end of a function wakes the loop, which writes the outcome at once."""
    stuck = Stuck(world)
    woken = wakeup_event(stuck.first)
    woken.clear()
    stuck.leave.set()
    wait_until(woken.is_set)
    step(stuck.first)
    assert stuck.run().state == "succeeded"
