"""What a run's row holds after each way to end, or to leave its worker: every column of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from duly import Discard, Retry, RetryAfter, Run, Snooze, VirtualClock, every
from duly.store import tables
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.internals import die, unwritten

NEW = {
    "job_id": None, "job_uid": None, "task": "work", "args": "{}", "scheduled_for": None,
    "due_at": "born", "cause": "enqueue", "actor": None, "queue": "default", "priority": 0,
    "state": "ready", "attempt": 0, "max_attempts": 1, "crashes": 0, "token": 0, "claim_id": None,
    "owner": None, "worker_id": None, "occupied": False, "started_at": None, "finished_at": None,
    "expires_at": None, "waits_for_slot": False, "keep_until": None, "cancel_requested": False,
    "reason": None, "result": None, "error_type": None, "error_message": None,
    "progress_done": None, "progress_total": None, "progress_note": None, "counters": None,
    "concurrency_key": None, "unique_key": "k", "unique_scope": "until_done",
    "retaken_key": "k",
    "parent_run_id": None, "cause_key": None, "feeds": False, "quarantined": False,
    "traceparent": None,
}  # fmt: skip
"""An enqueued call that nothing has happened to: the other rows are told by what differs."""

EPOCH = VirtualClock().now()
CLAIMED = {"attempt": 1, "token": 1, "claim_id": "claim", "started_at": "start"}
EXECUTED = {**CLAIMED, "worker_id": "worker"}
ENDED = {"finished_at": "now", "keep_until": "now+30d", "unique_key": None}
SUCCEEDED = {**EXECUTED, **ENDED, "state": "succeeded"}
FAILED = {**EXECUTED, **ENDED, "state": "failed", "keep_until": "now+90d"}
BAD = {"error_type": "ValueError", "error_message": "bad"}
LOST = {"error_type": "WorkerLost", "error_message": "worker on HOST died"}
DISCARDED = {**EXECUTED, **ENDED, "state": "discarded"}
CANCELLED = {**ENDED, "state": "cancelled", "reason": "cancelled manually"}
NO_CALL = {
    "job_id": "j", "job_uid": "uid", "scheduled_for": "born+10s", "due_at": "born+10s",
    "cause": "schedule", "unique_key": None, "unique_scope": None, "retaken_key": None,
    "finished_at": "now",
    "keep_until": "now+30d",
}  # fmt: skip


class Way:
    """One run on one worker; the methods bring it to its end.

    Args:
        world: the database.
        function: what the run calls, if it gets so far; two seconds pass meanwhile.
        options: of its task.
    """

    def __init__(self, world: World, function: Callable[[Run], Any], **options: Any) -> None:
        self.world, self.born = world, world.clock.now()
        self.scheduler = world.scheduler()

        @self.scheduler.task(name="work", **options)
        def work(run: Run) -> Any:
            world.clock.advance(2)
            return function(run)

    def enqueue(self, **options: Any) -> str:
        return self.scheduler.enqueue("work", unique_key="k", unique="until_done", **options)

    def execute(self, **options: Any) -> str:
        run_id = self.enqueue(**options)
        self.world.forward(self.scheduler, 1)
        return run_id

    def only_run(self) -> str:
        (run,) = self.scheduler.runs(state=("missed", "skipped"))
        return run.id


def raising(error: BaseException) -> Callable[[Run], Any]:
    def function(_run: Run) -> None:
        raise error

    return function


def nothing(_run: Run) -> None:
    """Return nothing."""


def report(run: Run) -> int:
    run.progress(1, 2, "half")
    run.count(ok=3)
    return 7


@contextmanager
def executing(world: World, **options: Any) -> Iterator[tuple[Way, str]]:
    """A run whose function executes until the block ends."""
    started, leave = threading.Event(), threading.Event()

    def hang(_run: Run) -> None:
        started.set()
        assert leave.wait(240)

    way = Way(world, hang, **options)
    run_id = way.enqueue()
    world.clock.advance(1)
    step(way.scheduler)
    assert started.wait(240)
    try:
        yield way, run_id
    finally:
        leave.set()


# ------------------------------------------------------------------------------ the ways


def end(function: Callable[[Run], Any], **options: Any) -> Callable[[World], Iterator[Any]]:
    """The function decides."""

    def bring(world: World) -> Iterator[Any]:
        way = Way(world, function, **options)
        yield way, way.execute()

    return bring


def discarded_by_hand(world: World) -> Iterator[Any]:
    way = Way(world, raising(ValueError("bad")))
    run_id = way.execute()
    world.clock.advance(86_400)
    way.scheduler.discard(run_id, reason="hopeless")
    yield way, run_id


def retried_by_hand(world: World) -> Iterator[Any]:
    way = Way(world, raising(ValueError("bad")))
    run_id = way.execute()
    world.clock.advance(5)
    way.scheduler.retry(run_id)
    yield way, run_id


def cancelled_while_ready(world: World) -> Iterator[Any]:
    way = Way(world, nothing)
    run_id = way.enqueue()
    world.clock.advance(3)
    way.scheduler.cancel(run_id)
    yield way, run_id


def cancelled_while_scheduled(world: World) -> Iterator[Any]:
    way = Way(world, nothing)
    run_id = way.enqueue(delay=60)
    way.scheduler.cancel(run_id)
    yield way, run_id


def cancelled_while_running(world: World) -> Iterator[Any]:
    with executing(world) as (way, run_id):
        way.scheduler.cancel(run_id)
        world.clock.advance(3)
        step(way.scheduler)
        yield way, run_id


def timed_out(world: World) -> Iterator[Any]:
    with executing(world, timeout=10) as (way, run_id):
        world.clock.advance(11)
        step(way.scheduler)
        yield way, run_id


def timed_out_and_ended(world: World) -> Iterator[Any]:
    with executing(world, timeout=10) as (way, run_id):
        world.clock.advance(11)
        step(way.scheduler)
    wait_until(lambda: unwritten(way.scheduler) == 1)
    step(way.scheduler)
    yield way, run_id


def expired(world: World) -> Iterator[Any]:
    way = Way(world, nothing, expires=5)
    run_id = way.enqueue()
    world.forward(way.scheduler, 6)
    yield way, run_id


def missed(world: World) -> Iterator[Any]:
    way = Way(world, nothing)
    way.scheduler.add("work", every(seconds=10, anchor=way.born), id="j", misfire_grace=0)
    world.forward(way.scheduler, 12)
    yield way, way.only_run()


def skipped(world: World) -> Iterator[Any]:
    way = Way(world, nothing)
    way.scheduler.add("work", every(seconds=10, anchor=way.born), id="j")
    way.scheduler.run_now("j")
    way.scheduler.pause_queue("default")
    world.forward(way.scheduler, 12)
    yield way, way.only_run()


def rescued(world: World, **options: Any) -> Iterator[Any]:
    with executing(world, **options) as (way, run_id):
        rescuer = world.scheduler()
        rescuer.tick()
        die(way.scheduler)
        while rescuer.run(run_id).state == "running":
            world.forward(rescuer, 9)
        yield way, run_id


def crashed(world: World) -> Iterator[Any]:
    yield from rescued(world, on_crash="fail")


def given_back_at_stop(world: World) -> Iterator[Any]:
    with executing(world) as (way, run_id):
        world.clock.advance(3)
        way.scheduler.stop(grace=0)
        yield way, run_id


AGAIN = {**CLAIMED, "due_at": "now", "state": "ready", "token": 2}
WAYS: dict[str, tuple[Callable[[World], Iterator[Any]], dict[str, Any]]] = {
    "succeeded": (end(nothing), SUCCEEDED),
    "succeeded with a result": (end(lambda _run: 7), {**SUCCEEDED, "result": "7"}),
    "succeeded with reports": (end(report), {
        **SUCCEEDED, "result": "7", "progress_done": 1, "progress_total": 2,
        "progress_note": "half", "counters": '{"ok":3}',
    }),
    "failed": (end(raising(ValueError("bad"))), {**FAILED, **BAD}),
    "retried": (end(raising(ValueError("bad")), retry=Retry(wait=30, jitter=0)), {
        **CLAIMED, **BAD, "state": "scheduled", "due_at": "now+30s", "max_attempts": 3,
    }),
    "retried after": (end(raising(RetryAfter(40)), retry=3), {
        **CLAIMED, "state": "scheduled", "due_at": "now+40s", "max_attempts": 3,
        "error_type": "RetryAfter", "error_message": str(RetryAfter(40)),
    }),
    "snoozed": (end(raising(Snooze(seconds=50))), {
        **CLAIMED, "state": "scheduled", "due_at": "now+50s", "attempt": 0, "reason": "snoozed",
    }),
    "discarded": (end(raising(Discard("no use"))), {**DISCARDED, "reason": "no use"}),
    "discarded by hand": (discarded_by_hand, {
        **DISCARDED, **BAD, "finished_at": "now-1d", "reason": "hopeless",
    }),
    "retried by hand": (retried_by_hand, {
        "state": "ready", "due_at": "now", "attempt": 1, "max_attempts": 2, "token": 1,
        "claim_id": "claim", "unique_key": "k", "cause": "retry_by_hand",
    }),
    "cancelled while ready": (cancelled_while_ready, CANCELLED),
    "cancelled while scheduled": (cancelled_while_scheduled, {**CANCELLED, "due_at": "now+60s"}),
    "cancelled while running": (cancelled_while_running, {
        **EXECUTED, **CANCELLED, "token": 2, "occupied": True, "reason": "cancelled by request",
    }),
    "timed out": (timed_out, {
        **FAILED, "token": 2, "occupied": True, "error_type": "TimedOut",
        "error_message": "took longer than its 10 s",
    }),
    "timed out, and ended later": (timed_out_and_ended, {
        **FAILED, "token": 2, "error_type": "TimedOut",
        "error_message": "took longer than its 10 s",
    }),
    "expired": (expired, {
        **ENDED, "state": "missed", "expires_at": "born+5s",
        "reason": f"not started by {EPOCH + timedelta(seconds=5):%Y-%m-%d %H:%M:%S} UTC (expires)",
    }),
    "missed": (missed, {**NO_CALL, "state": "missed", "reason": "misfire_grace is 0 s; 2 s late"}),
    "skipped": (skipped, {
        **NO_CALL, "state": "skipped", "reason": "overlap=skip: an earlier run is unfinished",
    }),
    "rescued": (rescued, {
        **AGAIN, **LOST, "crashes": 1, "reason": LOST["error_message"],
    }),
    "failed with its worker": (crashed, {**FAILED, **LOST, "token": 2, "crashes": 1}),
    "given back at a stop": (given_back_at_stop, {
        **AGAIN, "state": "scheduled", "worker_id": "worker", "occupied": True,
        "due_at": "born", "attempt": 0, "reason": "its worker stopped",
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_every_column_after_every_way_to_end(world: World, name: str) -> None:
    """One expected row a way, and no column left out: whoever drifts from the others is seen."""
    bring, differing = WAYS[name]
    for way, run_id in bring(world):
        assert stored(way, run_id) == {**NEW, **differing}


def stored(way: Way, run_id: str) -> dict[str, Any]:
    """Return the run's row, with names in place of instants, ids and the host."""
    with way.scheduler.store.read() as conn:
        chosen = select(tables.run).where(tables.run.c.id == run_id)
        row = dict(conn.execute(chosen).one()._mapping)
    del row["id"], row["policy"]
    for name, value in row.items():
        if isinstance(value, datetime):
            row[name] = "start" if name == "started_at" else named(value, way)
        elif isinstance(value, str):
            row[name] = re.sub(r"worker on .* died", LOST["error_message"], value)
    for name in ("claim_id", "worker_id", "job_uid"):
        row[name] = row[name] and name.removesuffix("_id").removeprefix("job_")
    return row


def named(value: datetime, way: Way) -> str:
    """Name an instant by its distance from the present, or from the test's beginning if past."""
    born, now = way.born, way.world.clock.now()
    if value == now:
        return "now"
    days = (value - now) / timedelta(days=1)
    if days.is_integer():
        return f"now{days:+.0f}d"
    if value > now:
        return f"now+{(value - now).total_seconds():.0f}s"
    return "born" if value == born else f"born+{(value - born).total_seconds():.0f}s"
