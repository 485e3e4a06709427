"""Engine rules 1, 2, 7, 8, 9, 10, 22 and 23: who owns a run, who is dead, and what time it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from duly import Actor, Scheduler, VirtualClock, every
from duly.model.identity import new_id
from duly.store import runs
from duly.store.transaction import Transaction
from duly.worker.lease import WorkerLease
from tests.store.conftest import add_run, all_runs, claim
from tests.store.test_workers import add_worker
from tests.support.postgresql import PostgresServer
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.internals import lease_of, registration_of, replace_beat
from tests.worker.test_fencing import Stuck


@pytest.fixture
def server_world(prepared_postgresql_url: str) -> Iterator[World]:
    """A database with a clock and leases."""
    made = World(prepared_postgresql_url)
    yield made
    made.close()


# ----------------------------------------------------------------------------- engine rule 1


def test_rule_01_a_claim_whose_acknowledgement_was_lost_is_given_back(world: World) -> None:
    """A run that is stored as this worker's without its knowledge is given back to the others."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.tick()
    with scheduler.store.write() as tx:
        run_id = add_run(tx)
        (row,) = claim(tx, worker=scheduler.worker_id or "")
    assert row.id == run_id
    world.forward(scheduler, 10)
    run = scheduler.run(run_id)
    assert (run.state, run.attempt, run.crashes) == ("succeeded", 1, 0)


def test_rule_01_an_executing_run_is_never_given_back(world: World) -> None:
    """Scans for strays never give back a run that is executing."""
    stuck = Stuck(world)
    for _ in range(5):
        world.clock.advance(10)
        step(stuck.first)
    assert (stuck.run().state, stuck.run().attempt) == ("running", 1)
    stuck.leave.set()
    wait_until(lambda: not stuck.first.in_flight())
    step(stuck.first)
    assert stuck.run().result == "first"


def test_rule_01_a_run_whose_worker_has_no_row_is_rescued(world: World) -> None:
    """On a server after one lease of contact; at once where file locks prove who is alive."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.tick()
    with scheduler.store.write() as tx:
        run_id = add_run(tx)
        claim(tx, worker=new_id())
    for _ in range(9):
        world.forward(scheduler, 9)
    run = scheduler.run(run_id)
    assert (run.state, run.crashes) == ("succeeded", 1)


# ----------------------------------------------------------------------------- engine rule 2


def test_rule_02_another_server_fences_the_worker_and_delays_rescue(server_world: World) -> None:
    """It may lack the last commits: the worker registers again and rescues nothing for a lease."""
    stuck = Stuck(server_world)
    registration = registration_of(stuck.first)
    assert registration.server
    registration.server = "another server"
    lease = lease_of(stuck.first)
    lease.beat()
    assert not lease.alive
    assert stuck.contexts[0].lease_lost
    assert lease.quiet_until == server_world.clock.monotonic() + 60
    step(stuck.first)
    assert lease.worker_id not in ("", registration.id)
    (event,) = stuck.second.events(kind="worker.fenced")
    assert "another server" in event.detail["reason"]
    stuck.leave.set()


def test_rule_02_an_ordinary_role_can_ask_who_the_server_is(
    server_world: World, postgres: PostgresServer
) -> None:
    """No superuser is needed; if the query is forbidden, the identity is unknown."""
    store = server_world.scheduler().store
    with postgres.connect() as admin:
        admin.execute("do $$ begin create role plain; exception when others then null; end $$")
    with store.write() as tx:
        tx.conn.exec_driver_sql("set local role plain")
        assert store.dialect.server_identity(tx.conn)


# ----------------------------------------------------------------------------- engine rule 7


def test_rule_07_after_two_crashes_a_run_executes_alone(world: World) -> None:
    """No other run starts beside it, and it starts only on an idle worker."""
    scheduler = world.scheduler()
    leave, seen = threading.Event(), list[str]()

    @scheduler.task()
    def work(name: str) -> None:
        seen.append(name)
        assert leave.wait(240)

    scheduler.tick()
    scheduler.enqueue(work, name="other")
    suspect = scheduler.enqueue(work, name="suspect", delay=1)
    with scheduler.store.write() as tx:
        runs.change(tx, [suspect], crashes=2, quarantined=True)
    step(scheduler)
    wait_until(lambda: seen == ["other"])
    world.clock.advance(2)
    step(scheduler)
    assert scheduler.run(suspect).state == "ready"
    leave.set()
    wait_until(lambda: not scheduler.in_flight())
    leave.clear()
    step(scheduler)
    world.clock.advance(1)
    step(scheduler)
    wait_until(lambda: seen == ["other", "suspect"])
    late = scheduler.enqueue(work, name="late")
    step(scheduler)
    assert scheduler.run(late).state == "ready"
    leave.set()
    scheduler.tick()
    assert {scheduler.run(held).state for held in (late, suspect)} == {"succeeded"}


def test_rule_07_only_a_crash_alone_makes_a_run_fail(world: World) -> None:
    """A third crash beside other runs does not make a run fail."""
    stuck = Stuck(world)
    with stuck.second.store.write() as tx:
        runs.change(tx, [stuck.run_id], crashes=2, quarantined=False)
    stuck.kill_first()
    stuck.let_second_notice()
    world.forward(stuck.second, 1)
    assert (stuck.run().state, stuck.run().crashes) == ("succeeded", 3)
    stuck.leave.set()


# ------------------------------------------------------------------------ engine rules 8 and 9


def test_rule_08_a_rescued_run_never_expires(world: World) -> None:
    """``expires`` bounds the wait for the first start only."""
    stuck = Stuck(world, expires=5)
    stuck.kill_first()
    stuck.let_second_notice()
    assert stuck.run().state == "succeeded"
    stuck.leave.set()


def test_rule_09_a_late_beat_is_reported(world: World) -> None:
    """The log and the audit trail record how late it was."""
    scheduler = world.scheduler()
    scheduler.tick()
    world.clock.advance(40)
    lease_of(scheduler).beat()
    (event,) = scheduler.events(kind="worker.late")
    assert event.detail["seconds"] == 30


# ---------------------------------------------------------------------------- engine rule 10


def test_rule_10_where_only_single_steps_are_taken_a_suspicion_is_stored(
    server_world: World,
) -> None:
    """Without a lease of contact, the second scan that finds the same last beat decides."""
    stuck = Stuck(server_world)
    server_world.forward(stuck.second, 70)
    assert stuck.run().state == "running"
    server_world.forward(stuck.second, 70)
    assert stuck.run().state == "succeeded"
    stuck.leave.set()


def test_rule_10_a_beat_clears_the_suspicion(server_world: World) -> None:
    """A worker that was only frozen and beats again keeps its runs."""
    stuck = Stuck(server_world)
    server_world.forward(stuck.second, 70)
    lease_of(stuck.first).beat()
    server_world.forward(stuck.second, 61)
    assert stuck.run().state == "running"
    stuck.leave.set()


# ---------------------------------------------------------------------- engine rules 22 and 23


@pytest.mark.parametrize("step_by", [-3600, 3600])
def test_rule_22_nothing_fires_while_a_clock_step_is_unconfirmed(
    world: World, step_by: int
) -> None:
    """After a step of an hour nothing fires for two readings, and no time is decided twice."""
    scheduler = world.scheduler()

    @scheduler.job(every(seconds=10), id="j", catch_up="all")
    def work() -> None: ...

    scheduler.tick()
    world.forward(scheduler, 10)
    world.clock.step(step_by)
    world.clock.advance(0.5)
    scheduler.tick()
    assert len(scheduler.runs(job="j")) == 1
    for _ in range(20):
        world.forward(scheduler, 1)
    nominal = [run.scheduled_for for run in scheduler.runs(job="j", limit=1000)]
    assert len(nominal) == len(set(nominal))
    assert (len(nominal) > 1) is (step_by > 0)


def test_rule_22_leases_of_a_clock_set_back_do_not_outlive_it(server_world: World) -> None:
    """A dead worker's last beat lies an hour in the future and does not prove it alive."""
    stuck = Stuck(server_world)
    server_world.clock.step(-3600)
    for _ in range(12):
        server_world.clock.advance(9)
        stuck.second.tick()
    assert stuck.run().state == "succeeded"
    stuck.leave.set()


def test_rule_23_a_restored_backup_is_caught_up(world: World) -> None:
    """Cursors a day behind make one run by policy; runs of missing workers start again."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.add("work", every(seconds=10), id="j")
    with scheduler.store.write() as tx:
        run_id = add_run(tx)
        claim(tx, worker=_gone(tx))
    world.clock.advance(days=1)
    for _ in range(9):
        world.forward(scheduler, 9)
    assert scheduler.run(run_id).state == "succeeded"
    assert sum(gap.count for gap in scheduler.missed("j")) == 8639
    assert scheduler.runs(job="j")[-1].cause == "catch_up"


def _gone(tx: Transaction) -> str:
    return add_worker(tx)


# ----------------------------------------------------------------------------------- fencing


def test_a_hanging_beat_does_not_delay_the_fence(prepared_postgresql_url: str) -> None:
    """The watchdog fences by the steady clock, from the start of the last good beat."""
    clock = VirtualClock()
    scheduler = Scheduler(prepared_postgresql_url, clock=clock)
    scheduler.prepare()
    hangs, leave = threading.Event(), threading.Event()
    fenced = threading.Event()
    lease = WorkerLease(scheduler.store, scheduler.settings, fenced.set)

    def hang(*_any: object) -> None:
        hangs.set()
        leave.wait(240)

    replace_beat(lease, hang)
    old = lease.register()
    lease.start()
    clock.advance(10)
    assert hangs.wait(240)
    clock.advance(39.9)
    assert not fenced.wait(0.1)
    clock.advance(0.2)
    assert fenced.wait(240)
    assert not lease.alive
    new = lease.register()
    leave.set()
    assert (lease.worker_id, lease.worker_id != old) == (new, True)
    lease.leave()
    scheduler.stop()


def test_a_fence_for_an_ended_registration_does_nothing(world: World) -> None:
    """A slow beat of the previous registration cannot end the current one."""
    scheduler = world.scheduler()
    scheduler.tick()
    lease = lease_of(scheduler)
    old = lease.worker_id
    lease.fence(old, "test")
    new = lease.register()
    lease.fence(old, "again")
    assert lease.worker_id == new


def test_an_idle_worker_writes_only_its_beats(world: World) -> None:
    """Scans for dead workers, strays and quarantined runs only read."""
    scheduler = world.scheduler()
    scheduler.tick()
    for _ in range(3):
        world.forward(scheduler, 1)
    written: list[int] = []
    write = scheduler.store.write

    def counted(actor: str | Actor | None = None, **said: Any) -> Any:
        written.append(1)
        return write(actor, **said)

    scheduler.store.write = counted  # type: ignore[method-assign]
    for _ in range(6):
        world.forward(scheduler, 1)
    assert written == []
    assert all_runs(scheduler.store) == {}
