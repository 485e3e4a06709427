"""The application's own tests: thirty, in virtual time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi.testclient import TestClient

from duly.errors import RunFailed
from duly.testing import World, assert_enqueued, enqueued, make_run, testing
from tests.integrations.hosts.orders import app as shop

pytestmark = pytest.mark.duly(at="2026-03-02T12:00Z")


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """What the payment service raises in its next calls."""
    planned: list[Exception] = []

    def charge(order: int) -> None:
        if planned:
            raise planned.pop(0)

    monkeypatch.setattr(shop.gateway, "charge", charge)
    return planned


def test_placing_enqueues_a_reminder(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    assert assert_enqueued(shop.remind, args={"order": 7}).due_at == duly.now() + timedelta(days=3)


def test_placing_twice_enqueues_one_reminder(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    client.post("/orders/7")
    assert len(enqueued(shop.remind)) == 1


def test_an_unpaid_order_is_reminded_after_three_days(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    duly.advance(days=3)
    assert "reminder 7 at 2026-03-05 12:00" in shop.outbox


def test_nothing_is_reminded_before(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    duly.advance(days=2, hours=23, minutes=59)
    assert not [text for text in shop.outbox if text.startswith("reminder")]


def test_a_paid_order_is_not_reminded(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    client.post("/orders/7/pay")
    duly.advance(days=4)
    (run,) = shop.scheduler.runs(task="remind")
    assert run.result == "nothing to do"


def test_a_cancelled_order_has_no_reminder(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    assert client.delete("/orders/7").json() == {"cancelled": 1}
    assert enqueued(shop.remind) == []


def test_cancelling_leaves_other_orders(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    client.post("/orders/8")
    client.delete("/orders/7")
    assert_enqueued(shop.remind, args={"order": 8})


def test_paying_sends_a_receipt(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    client.post("/orders/7/pay")
    duly.drain()
    assert shop.outbox == ["receipt 7"]


def test_paying_an_unknown_order(duly: World, client: TestClient) -> None:
    assert client.post("/orders/7/pay").status_code == 404
    assert enqueued() == []


def test_paying_returns_the_run(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    run_id = client.post("/orders/7/pay").json()["run"]
    assert shop.state_of(run_id) == "ready"
    duly.drain()
    assert shop.state_of(run_id) == "succeeded"


def test_a_payment_is_tried_again(duly: World, client: TestClient, fails: list[Exception]) -> None:
    fails.append(ConnectionError("down"))
    client.post("/orders/7")
    client.post("/orders/7/pay")
    with duly.expecting(ConnectionError):
        duly.drain()
    assert shop.orders == {7: "placed"}
    duly.advance(seconds=60)
    assert shop.orders == {7: "paid"}


def test_the_delay_doubles(duly: World, fails: list[Exception]) -> None:
    fails += [ConnectionError("down"), ConnectionError("still down")]
    shop.charge.enqueue(order=7)
    with duly.expecting(ConnectionError):
        duly.advance(seconds=60 + 119)
    assert shop.orders == {}
    duly.advance(seconds=1)
    assert shop.orders == {7: "paid"}


def test_a_payment_fails_after_three_attempts(duly: World, fails: list[Exception]) -> None:
    fails += [ConnectionError(str(number)) for number in range(3)]
    run_id = shop.charge.enqueue(order=7)
    with duly.expecting(ConnectionError) as errors:
        duly.advance(minutes=10)
    assert len(errors) == 3
    assert shop.state_of(run_id) == "failed"


def test_a_failed_payment_can_be_retried_by_hand(duly: World, fails: list[Exception]) -> None:
    fails += [ConnectionError(str(number)) for number in range(3)]
    run_id = shop.charge.enqueue(order=7)
    with duly.expecting(ConnectionError):
        duly.advance(minutes=10)
    shop.scheduler.retry(run_id)
    duly.drain()
    assert shop.state_of(run_id) == "succeeded"


def test_a_mistake_in_a_function_is_raised(duly: World, fails: list[Exception]) -> None:
    fails.append(KeyError("typo"))
    shop.charge.enqueue(order=7)
    with pytest.raises(KeyError, match="typo"):
        duly.drain()


def test_a_slow_payment_times_out(duly: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.gateway, "charge", lambda order: duly.clock.advance(seconds=31))
    shop.charge.enqueue(order=7)
    with duly.expecting(RunFailed):
        duly.drain()
    assert len(enqueued(shop.charge)) == 1


def test_the_report_runs_at_two(duly: World) -> None:
    duly.advance(to="2026-03-03T02:00Z")
    assert "report at 01:00" in shop.outbox  # 02:00 in Madrid


@pytest.mark.duly(at="2026-03-28T12:00Z")
def test_the_report_is_not_lost_when_the_clocks_go_forward(duly: World) -> None:
    duly.advance(days=2)
    assert len(shop.scheduler.runs(job="report", state="succeeded")) == 2


@pytest.mark.duly(at="2026-10-24T12:00Z")
def test_the_report_is_not_repeated_when_the_clocks_go_back(duly: World) -> None:
    duly.advance(days=1)
    assert len(shop.scheduler.runs(job="report")) == 1


def test_the_archive_follows_the_report(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    client.delete("/orders/7")
    duly.advance(days=1)
    assert shop.orders == {}


def test_the_report_counts(duly: World, client: TestClient) -> None:
    client.post("/orders/7")
    assert client.post("/report").json() == {"state": "succeeded", "result": {"placed": 1}}


def test_cleaning_runs_twice_a_day(duly: World) -> None:
    duly.advance(days=1)
    assert shop.outbox.count("clean") == 2


@pytest.mark.duly(at="2026-03-06T12:00Z")
def test_nothing_is_greeted_at_the_weekend(duly: World) -> None:
    duly.advance(to="2026-03-09T07:59Z")
    assert "good morning" not in shop.outbox
    duly.advance(minutes=1)
    assert "good morning" in shop.outbox


def test_a_paused_job_does_not_run(duly: World) -> None:
    shop.scheduler.pause("clean", reason="holidays")
    duly.advance(days=1)
    assert "clean" not in shop.outbox


def test_what_code_declares_is_stored(duly: World) -> None:
    assert [job.id for job in shop.scheduler.jobs()] == ["archive", "clean", "greet", "report"]


def test_each_test_begins_empty(duly: World) -> None:
    assert shop.scheduler.runs() == []


def test_the_lifespan_starts_no_thread(duly: World, living_client: TestClient) -> None:
    assert living_client.get("/health").json() == {"ok": True}
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"duly-worker", "duly-heartbeat", "duly-loop", "duly-run-1"}


async def test_an_asynchronous_client(duly: World) -> None:
    transport = httpx.ASGITransport(shop.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        await client.post("/orders/7")
        await client.post("/orders/7/pay")
    await duly.aio.drain()
    assert shop.outbox == ["receipt 7"]


def test_a_function_alone() -> None:
    assert shop.report(make_run(now=datetime(2026, 3, 2, 1, tzinfo=UTC))) == {}
    assert shop.outbox == ["report at 01:00"]


def test_without_the_plugin() -> None:
    with testing(shop.scheduler, at="2026-03-02T00:30Z") as world:
        world.advance(hours=1)
    assert "report at 01:00" in shop.outbox
