"""Runs handed to another system: no message is trusted, and none is needed (engine rule 30)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from duly import Retry, Scheduler
from duly.errors import ConfigurationError, ExecutorUnavailable
from duly.hooks import HandOff, RemoteSite
from duly.store import hand_offs
from duly.testing import testing
from tests.worker.conftest import World, step

RESEND = 60


class Courier:
    """An executor whose messages a test delivers, loses, doubles and delays by hand."""

    def __init__(self, *queues: str, window: int = 10) -> None:
        self.queues = queues
        self.window = window
        self.resend = RESEND
        self.sent: list[HandOff] = []
        self.fault: BaseException | None = None
        self.site: RemoteSite | None = None

    def connect(self, site: RemoteSite) -> None:
        """Keep the scheduler's side."""
        self.site = site

    def send(self, hand_offs: Sequence[HandOff]) -> None:
        """Keep the messages, unless the network fails."""
        if self.fault is not None:
            raise self.fault
        self.sent += hand_offs

    def take(self) -> list[HandOff]:
        """Return the messages that nobody has taken yet."""
        taken, self.sent = self.sent, []
        return taken

    def deliver(self, message: HandOff) -> bool:
        """Deliver a message; return whether its run was executed."""
        assert self.site is not None
        return self.site.execute(message.run_id, message.token)


@pytest.fixture
def courier() -> Courier:
    """The executor."""
    return Courier()


@pytest.fixture
def scheduler(world: World, courier: Courier) -> Scheduler:
    """A scheduler with a task for the courier."""
    made = world.scheduler(executors={"courier": courier}, queues={"default": 10, "other": 10})
    made.task(executor="courier")(add)
    return made


def add(x: int, y: int = 0) -> int:
    """The task of these tests."""
    return x + y


def write_back(scheduler: Scheduler, courier: Courier) -> None:
    """Store the results of what was executed, while nothing can be handed off."""
    courier.fault = ExecutorUnavailable("not now")
    step(scheduler)
    courier.fault = None
    scheduler.clock.advance(6)  # type: ignore[attr-defined]


def occupied(scheduler: Scheduler) -> dict[str, int]:
    """The hand-offs that are stored, by queue."""
    with scheduler.store.read() as conn:
        return hand_offs.waiting(conn, "courier")


def test_rule_30_a_message_starts_its_run_once(scheduler: Scheduler, courier: Courier) -> None:
    """The same message again, or one with an older token, starts nothing."""
    run_id = scheduler.enqueue("add", x=1, y=2)
    step(scheduler)
    (message,) = courier.take()
    assert scheduler.run(run_id).state == "ready"
    assert not courier.deliver(message._replace(token=message.token - 1))
    assert courier.deliver(message)
    assert not courier.deliver(message)
    step(scheduler)
    assert not courier.deliver(message)
    record = scheduler.run(run_id)
    assert (record.state, record.result, record.attempt) == ("succeeded", 3, 1)
    assert occupied(scheduler) == {}


def test_rule_30_a_lost_message_is_sent_again(
    world: World, scheduler: Scheduler, courier: Courier
) -> None:
    """Each time after twice as long; the first message counts too, should it arrive after all."""
    scheduler.enqueue("add", x=1)
    step(scheduler)
    (lost,) = courier.take()
    for wait in (RESEND, 2 * RESEND, 4 * RESEND):
        world.forward(scheduler, wait - 2)
        assert courier.take() == []
        world.forward(scheduler, 3)
        assert courier.take() == [lost]
    assert courier.deliver(lost)
    assert not courier.deliver(lost)


def test_rule_30_a_crash_before_the_message_is_sent_is_repaired(
    world: World, scheduler: Scheduler, courier: Courier
) -> None:
    """The hand-off is stored with the claim, so any other worker sends the message."""
    scheduler.enqueue("add", x=1)
    courier.fault = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        step(scheduler)
    heir = Courier()
    second = world.scheduler(executors={"courier": heir})
    second.task(executor="courier")(add)
    step(second)
    assert heir.take() == []
    world.forward(second, RESEND + 1)
    (message,) = heir.take()
    assert heir.deliver(message)


def test_runs_wait_as_ready_while_the_executor_cannot_be_reached(
    world: World, scheduler: Scheduler, courier: Courier
) -> None:
    """Nothing is lost, the problem is reported, and the runs start when it is over."""
    ids = [scheduler.enqueue("add", x=n) for n in range(3)]
    courier.fault = ExecutorUnavailable("connection refused")
    step(scheduler)
    assert {scheduler.run(run_id).state for run_id in ids} == {"ready"}
    assert occupied(scheduler) == {}
    problem = next(found for found in scheduler.health().problems if found.check == "executors")
    assert "'courier' cannot be reached (connection refused)" in problem.text
    courier.fault = None
    world.forward(scheduler, 6)
    assert [message.run_id for message in courier.take()] == ids
    assert not [found for found in scheduler.health().problems if found.check == "executors"]


def test_a_run_that_changes_meanwhile_is_no_longer_handed_off(
    world: World, scheduler: Scheduler, courier: Courier
) -> None:
    """Cancelled, expired and rescheduled runs do not start, and keep no place in the limits."""
    cancelled = scheduler.enqueue("add", x=1)
    expired = scheduler.enqueue("add", x=2, expires=30)
    later = scheduler.enqueue("add", x=3)
    step(scheduler)
    messages = courier.take()
    scheduler.cancel(cancelled)
    scheduler.reschedule(later, at=world.clock.now().replace(year=2100))
    world.forward(scheduler, 31)
    states = [scheduler.run(run_id).state for run_id in (cancelled, expired, later)]
    assert states == ["cancelled", "missed", "scheduled"]
    assert [courier.deliver(message) for message in messages] == [False] * 3
    assert occupied(scheduler) == {}
    with scheduler.store.read() as conn:
        found = conn.exec_driver_sql("select count(*) from duly_run where occupied")
        assert found.scalar() == 0


def test_limits_count_what_is_handed_off(scheduler: Scheduler, courier: Courier) -> None:
    """No more runs are handed off than may run, so that none waits in the other system in vain."""
    scheduler.set_queue("default", max_running=2)
    for n in range(5):
        scheduler.enqueue("add", x=n)
    for expected in (2, 2, 1):
        step(scheduler)
        messages = courier.take()
        assert len(messages) == expected
        step(scheduler)
        assert courier.take() == []
        assert [courier.deliver(message) for message in messages] == [True] * expected
        write_back(scheduler, courier)
    assert len(scheduler.runs(state="succeeded")) == 5


def test_a_concurrency_key_counts_what_is_handed_off(
    scheduler: Scheduler, courier: Courier
) -> None:
    """A key is taken from the hand-off until the end, and given to one run at a time."""
    scheduler.task(name="keyed", executor="courier", concurrency_key="tenant")(lambda: None)
    ids = [scheduler.enqueue("keyed") for _ in range(2)]
    step(scheduler)
    (first,) = courier.take()
    assert first.run_id == ids[0]
    assert courier.deliver(first)
    scheduler.tick()
    (second,) = courier.take()
    assert second.run_id == ids[1]


def test_the_window_bounds_what_waits_in_the_other_system(world: World) -> None:
    """Further runs stay in the database, where priorities decide."""
    courier = Courier(window=2)
    scheduler = world.scheduler(executors={"courier": courier})
    scheduler.task(executor="courier")(add)
    for n in range(3):
        scheduler.enqueue("add", x=n)
    urgent = scheduler.enqueue("add", x=9, priority=-1)
    step(scheduler)
    messages = courier.take()
    assert len(messages) == 2
    assert messages[0].run_id == urgent
    courier.deliver(messages[0])
    scheduler.tick()
    assert len(courier.take()) == 1


def test_a_paused_queue_takes_its_hand_offs_back(scheduler: Scheduler, courier: Courier) -> None:
    """A message that arrives during the pause starts nothing; afterwards another one is sent."""
    scheduler.enqueue("add", x=1)
    step(scheduler)
    (early,) = courier.take()
    scheduler.pause_queue("default", reason="maintenance")
    assert not courier.deliver(early)
    step(scheduler)
    assert courier.take() == []
    scheduler.resume_queue("default")
    step(scheduler)
    (message,) = courier.take()
    assert message.token > early.token
    assert not courier.deliver(early)
    assert courier.deliver(message)


def test_a_failed_attempt_is_handed_off_again(
    world: World, scheduler: Scheduler, courier: Courier
) -> None:
    """The retry policy decides as for runs that are executed here."""
    scheduler.task(name="fail", executor="courier", retry=Retry(attempts=2, wait=5))(_fail)
    run_id = scheduler.enqueue("fail")
    step(scheduler)
    (first,) = courier.take()
    courier.deliver(first)
    step(scheduler)
    assert scheduler.run(run_id).state == "scheduled"
    world.forward(scheduler, 6)
    (second,) = courier.take()
    assert not courier.deliver(first)
    assert courier.deliver(second)
    step(scheduler)
    assert scheduler.run(run_id).state == "failed"
    assert [each.error_message for each in scheduler.attempts(run_id)] == ["no"] * 2


def test_a_whole_queue_is_handed_over(world: World) -> None:
    """All tasks of that queue leave, and the other queues' tasks are executed here."""
    courier = Courier("heavy")
    scheduler = world.scheduler(executors={"courier": courier})
    scheduler.task()(add)
    here, away = scheduler.enqueue("add", x=1), scheduler.enqueue("add", x=2, queue="heavy")
    scheduler.tick()
    assert scheduler.run(here).state == "succeeded"
    (message,) = courier.take()
    assert message.run_id == away
    assert courier.deliver(message)
    (worker,) = scheduler.workers()
    assert worker.queues == {"default": 10, "heavy": 10}


def test_a_unique_key_is_held_until_the_run_starts(scheduler: Scheduler, courier: Courier) -> None:
    """Waiting in the other system is waiting."""
    first = scheduler.enqueue("add", x=1, unique_key="k")
    step(scheduler)
    assert scheduler.enqueue("add", x=1, unique_key="k") == first
    (message,) = courier.take()
    assert courier.deliver(message)
    assert scheduler.enqueue("add", x=1, unique_key="k") != first


def test_tests_execute_such_tasks_in_place(scheduler: Scheduler, courier: Courier) -> None:
    """`testing` needs no other system."""
    with testing(scheduler) as world:
        run_id = scheduler.enqueue("add", x=2, y=3)
        world.drain()
        assert scheduler.run(run_id).result == 5
    assert courier.take() == []


@pytest.mark.parametrize(
    "executors",
    [{"auto": Courier()}, {"a": Courier("q"), "b": Courier("q")}, {"a": 3}, [Courier()]],
    ids=["taken name", "shared queue", "no executor", "list"],
)
def test_executors_are_checked(executors: Any) -> None:
    """Names of Duly's own executors, a queue of two executors, and other values are refused."""
    with pytest.raises(ConfigurationError, match="executors="):
        Scheduler("sqlite://", executors=executors)


def _fail() -> None:
    raise ValueError("no")
