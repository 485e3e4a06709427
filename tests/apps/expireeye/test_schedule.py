"""When the check runs, who may change that, and what becomes of ticks that did not run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from apps.expireeye import jobs
from apps.expireeye.api import operator
from apps.expireeye.expiry import expire_batch
from apps.expireeye.follower import Follower
from apps.expireeye.frequency import frequency
from apps.expireeye.jobs import CHECK
from apps.outcomes import outcome_of
from duly import VirtualClock
from tests.apps.expireeye.world import World, world_on
from tests.support.waiting import wait_until


class Gate:
    """Holds a run between two batches until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self._opened = threading.Event()
        deliver = Follower.deliver

        async def held(follower: Follower, notices: Any) -> int:
            self.entered.set()
            await asyncio.to_thread(self._opened.wait)
            return await deliver(follower, notices)

        monkeypatch.setattr(Follower, "deliver", held)

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


@contextmanager
def live_world(url: str, **settings: Any) -> Iterator[World]:
    """A world whose engine runs by itself as the clock is moved."""
    with world_on(url, scheduler_enabled=True, **settings) as world:
        wait_until(partial(_runs_by_itself, world), what="the engine")
        yield world


def _runs_by_itself(world: World) -> bool:
    return world.scheduler.health().engine == "running"


@pytest.mark.parametrize(
    ("name", "zone", "after", "expected"),
    [
        ("10s", "UTC", "2026-01-01T00:00:00", ["00:00:10", "00:00:20", "00:00:30"]),
        ("10s", "UTC", "2026-01-01T00:00:43.5", ["00:00:50", "00:01:00", "00:01:10"]),
        ("minute", "UTC", "2026-01-01T00:00:43", ["00:01:00", "00:02:00", "00:03:00"]),
        ("hour", "UTC", "2026-01-01T00:20:43", ["01:00:00", "02:00:00", "03:00:00"]),
        ("daily", "UTC", "2026-01-01T00:00:00", ["00:00:00", "00:00:00", "00:00:00"]),
        # midnight in Madrid is 23:00 UTC in winter and 22:00 from 29 March on
        ("daily", "Europe/Madrid", "2026-03-27T23:00:00", ["23:00:00", "22:00:00", "22:00:00"]),
        ("0 6 * * *", "Asia/Tokyo", "2026-01-01T00:00:00", ["21:00:00", "21:00:00", "21:00:00"]),
    ],
)
def test_03_ticks_fall_where_the_frequency_says(
    name: str, zone: str, after: str, expected: list[str]
) -> None:
    """Tens of seconds, full minutes, full hours, midnight in the configured zone."""
    trigger, moment = frequency(name, zone).trigger, datetime.fromisoformat(f"{after}+00:00")
    for clock in expected:
        following = trigger.next_after(moment)
        assert following is not None
        assert f"{following:%H:%M:%S}" == clock
        moment = following


def test_03_the_job_fires_there(sqlite_url: str) -> None:
    """The stored job has the configured rhythm, zone and grace."""
    with world_on(
        sqlite_url, expiry_check_frequency="daily", scheduler_timezone="Asia/Tokyo"
    ) as world:
        job = world.scheduler.job(CHECK)
        assert job.next_fire_at == datetime.fromisoformat("2026-01-01T15:00:00+00:00")
        assert job.options.misfire_grace == 3600
        world.tick()
        (run,) = world.runs()
        assert run.scheduled_for == world.clock.now()


def test_15_a_slow_run_makes_the_next_tick_be_skipped(sqlite_url: str, gate: Gate) -> None:
    """A run never overlaps itself, and the tick that could not run is on record."""
    with live_world(sqlite_url) as world:
        otto = world.person("otto@example.com", role="operator")
        world.clock.advance(10)
        assert gate.entered.wait(240)
        world.clock.advance(10)
        wait_until(lambda: world.runs(state="skipped"), what="the skipped tick")
        assert len(world.runs(state="running")) == 1
        gate.open()
        wait_until(lambda: world.runs(state="succeeded"), what="the slow run")
        shown = otto.get("/scheduler/history").json()["items"]
        assert [(line["outcome"], line["at"]) for line in shown] == [
            ("skipped", "2026-01-01T00:00:20Z"),
            ("ok", "2026-01-01T00:00:10Z"),
        ]


def test_18_shutdown_during_a_run_leaves_nothing_half_done(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends soon after the grace; the open batch is rolled back; no thread or task stays."""
    begun, clock = threading.Event(), VirtualClock()

    async def slowly(*arguments: Any) -> Any:
        batch = await expire_batch(*arguments)
        begun.set()
        with suppress(TimeoutError):  # the work of a slow database, on purpose in the transaction
            await asyncio.wait_for(asyncio.Event().wait(), 0.1)
        return batch

    def threads() -> set[threading.Thread]:
        """Return those that are alive, without the pool that hashes passwords in any world."""
        pool = "passwords"
        return {each for each in threading.enumerate() if not each.name.startswith(pool)}

    before = threads()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "expire_batch", slowly)
        with live_world(
            database_url, clock=clock, shutdown_grace_seconds=0.5, expiry_batch_size=1
        ) as world:
            ana = world.person("ana@example.com")
            for n in range(60):
                world.item(ana, f"Product {n}", world.soon(5))
            clock.advance(10)
            assert begun.wait(240)
            asked = time.monotonic()
        assert time.monotonic() - asked < 20
    wait_until(lambda: threads() <= before, what="the end of all threads")
    with world_on(database_url, clock) as world:
        (run,) = world.runs()
        assert outcome_of(run) in ("interrupted", "ok")  # given back, or taken up again just now
        while any(item.status == "active" for item in world.items().values()):
            world.tick()
        notices = world.notices()
        assert len(notices) == len({notice.dedupe_key for notice in notices}) == 60


def test_21_not_ready_after_three_intervals_without_success(each_world: World) -> None:
    """503 until a run succeeds again."""
    world = each_world
    world.tick()
    ready = world.client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ok", "scheduler": "disabled", "database": "ok", "lastRunAgeSeconds": 0,
    }  # fmt: skip
    world.clock.advance(30)
    assert world.client.get("/health/ready").status_code == 200
    world.clock.advance(1)
    late = world.client.get("/health/ready")
    assert late.status_code == 503
    assert (late.json()["status"], late.json()["lastRunAgeSeconds"]) == ("unavailable", 31)
    assert world.client.get("/health/live").status_code == 200
    world.tick()
    assert world.client.get("/health/ready").status_code == 200


def test_not_ready_when_the_scheduler_is_down(sqlite_url: str) -> None:
    """A scheduler that has stopped is said so, while requests are still served."""
    with live_world(sqlite_url) as world:
        assert world.client.get("/health/ready").status_code == 200
        world.scheduler.stop(grace=0)
        late = world.client.get("/health/ready")
        assert (late.status_code, late.json()["scheduler"]) == (503, "stopped")


def test_22_the_operator_changes_the_frequency_for_good(database_url: str) -> None:
    """It takes effect at once, without a restart, and a restart keeps it."""
    clock = VirtualClock()
    with world_on(database_url, clock) as world:
        otto = world.person("otto@example.com", role="operator")
        clock.advance(5)
        path = "/scheduler/jobs/check_product_expiry"
        changed = otto.patch(path, frequency="minute")
        assert changed.status_code == 200
        assert changed.json()["nextRunTime"] == "2026-01-01T00:01:00Z"
        refused = otto.patch(path, frequency="sometimes")
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "frequency")
    with world_on(database_url, clock, expiry_check_frequency="hour") as world:
        otto = world.person("olga@example.com", role="operator")
        (job,) = otto.get("/scheduler/status").json()["jobs"]
        assert (job["frequency"], job["nextRunTime"]) == ("minute", "2026-01-01T00:01:00Z")
        assert world.tick().state == "succeeded"
        world.scheduler.reset(CHECK)
        assert otto.get("/scheduler/status").json()["jobs"][0]["frequency"] == "hour"


def test_23_a_manual_run_while_one_is_active_is_refused(sqlite_url: str, gate: Gate) -> None:
    """409, and nothing is started; once it is over, a manual run answers with its summary."""
    path = "/scheduler/jobs/check_product_expiry/run"
    with live_world(sqlite_url) as world:
        otto = world.person("otto@example.com", role="operator")
        world.clock.advance(10)
        assert gate.entered.wait(240)
        refused = otto.post(path)
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "already_running"
        assert len(world.runs()) == 1
        gate.open()
        wait_until(lambda: world.runs(state="succeeded"), what="the end of the run")
    with world_on(sqlite_url, world.clock) as world:
        otto = world.person("olga@example.com", role="operator")
        world.item(otto, "Milk", "2020-01-01")
        done = otto.post(path)
        assert done.status_code == 200
        assert {k: v for k, v in done.json().items() if k != "runId"} == {
            "outcome": "ok", "checked": 1, "expired": 1, "notified": 1, "pushed": 0, "failed": 0,
            "durationMs": 0,
        }  # fmt: skip
        assert otto.get("/scheduler/history").json()["items"][0]["trigger"] == "manual"


def test_a_manual_run_that_takes_long_answers_202(
    sqlite_url: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the wait the answer is the run's id, and the run goes on."""
    monkeypatch.setattr(operator, "RUN_WAIT", 0)
    with live_world(sqlite_url) as world:
        otto = world.person("otto@example.com", role="operator")
        answer = otto.post("/scheduler/jobs/check_product_expiry/run")
        assert answer.status_code == 202
        run_id = answer.json()["runId"]
        world.clock.advance(6)
        assert gate.entered.wait(240)
        assert world.scheduler.run(run_id).state == "running"
        gate.open()
        wait_until(lambda: world.scheduler.run(run_id).state == "succeeded")


def test_24_ten_restarts_leave_one_job(sqlite_url: str) -> None:
    """One registered job, and its next run has not been put off."""
    clock = VirtualClock()
    fires = set()
    for _ in range(10):
        with world_on(sqlite_url, clock, scheduler_enabled=True) as world:
            wait_until(partial(_runs_by_itself, world), what="the engine")
            (job,) = world.scheduler.jobs()
            fires.add((job.id, job.next_fire_at))
            clock.advance(0.5)
    assert fires == {(CHECK, datetime.fromisoformat("2026-01-01T00:00:10+00:00"))}


def test_missed_ticks_are_on_record(world: World) -> None:
    """After a time without the application, one run makes up for it and the gap is shown."""
    otto = world.person("otto@example.com", role="operator")
    world.tick()
    world.clock.advance(300)
    world.tick()
    shown = otto.get("/scheduler/history", outcome="missed").json()["items"]
    assert [(line["ticks"], line["at"]) for line in shown] == [(29, "2026-01-01T00:00:20Z")]
    assert len(world.runs(state="succeeded")) == 2


def test_history_is_filtered_and_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One outcome at a time, newest first, 1 to 500 lines."""
    otto = world.person("otto@example.com", role="operator")

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such table")

    world.tick()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "due_items", broken)
        world.tick()
    world.tick()
    lines = otto.get("/scheduler/history", limit=2).json()["items"]
    assert [line["outcome"] for line in lines] == ["ok", "error"]
    (error,) = otto.get("/scheduler/history", outcome="error").json()["items"]
    assert error["error"] == "no such table"
    assert otto.get("/scheduler/history", outcome="partial").json() == {"items": []}
    for limit in (0, 501, "many"):
        assert otto.get("/scheduler/history", limit=limit).status_code == 422
    (job,) = otto.get("/scheduler/status").json()["jobs"]
    assert (job["lastRun"]["outcome"], job["lastRun"]["counters"]["checked"]) == ("ok", 0)


def test_only_operators_see_the_scheduler(world: World) -> None:
    """401 without a token, 403 for a member."""
    ana = world.person("ana@example.com")
    for method, path in (
        ("GET", "/scheduler/status"),
        ("GET", "/scheduler/history"),
        ("POST", "/scheduler/jobs/check_product_expiry/run"),
        ("PATCH", "/scheduler/jobs/check_product_expiry"),
    ):
        assert world.client.request(method, path).status_code == 401
        assert ana.call(method, path, json={"frequency": "hour"}).status_code == 403
    assert world.runs() == []
