"""Webhooks: signed, once for each event, retried, and never told who gives to whom."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from apps.sneaky_klaus import exchanges
from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import Webhook
from duly.errors import SignatureError
from duly.notify import verify_signature
from tests.apps.passing_time import instant
from tests.apps.sneaky_klaus.world import HOOK_SECRET, World, found, world_on
from tests.notify.conftest import Received, receiver

__all__ = ["receiver"]

PARTY = "2026-12-01T18:00"


def payloads(received: Received) -> list[dict[str, Any]]:
    return [json.loads(body) for _path, _headers, body in received.requests]


def test_25_an_event_arrives_once_and_signed(world: World, receiver: Received) -> None:
    """The receiver verifies it with the secret, and knows a repetition by its id."""
    world.webhook(receiver.url, "exchange.matched")
    exchange = world.matched(PARTY)
    world.forward(hours=2)
    [(_path, headers, body)] = receiver.requests
    sent = json.loads(body)
    data = {"exchange_id": exchange, "name": "Office party", "participants": 3}
    assert (sent["event"], sent["data"]) == ("exchange.matched", data)
    then = instant("2026-11-01T12:00Z")
    assert verify_signature(headers, body, HOOK_SECRET, now=then) == sent["id"]
    with pytest.raises(SignatureError):
        verify_signature(headers, body + b" ", HOOK_SECRET, now=then)


def test_25_each_event_is_told(world: World, receiver: Received) -> None:
    """From the matching to the purge; with ids and numbers only."""
    world.admin()
    world.webhook(receiver.url)
    world.matched("2026-11-03T18:00", people=3, days=(1,))
    for moment in (
        "2026-11-02T23:00Z", "2026-11-04T00:00Z", "2026-11-05T00:00Z", "2026-11-28T02:00Z",
        "2026-12-05T02:00Z",
    ):  # fmt: skip
        world.move_to(moment)
    told = payloads(receiver)
    assert [each["event"] for each in told] == [
        "exchange.matched", *["reminder.sent"] * 3, "exchange.completed",
        "exchange.purge_warning", "exchange.purged",
    ]  # fmt: skip
    assert len({each["id"] for each in told}) == len(told)
    allowed = {"exchange_id", "name", "participants", "participant_id", "days_before"}
    assert {key for each in told for key in each["data"]} == allowed


def test_25_only_the_chosen_events_reach_an_active_webhook(
    world: World, receiver: Received
) -> None:
    world.webhook(receiver.url, "exchange.purged")
    off = world.webhook(receiver.url)
    world.do(lambda: setattr(db.session.get_one(Webhook, off), "active", False))
    world.matched(PARTY)
    assert receiver.requests == []


def test_25_an_event_that_is_rolled_back_is_not_told(world: World, receiver: Received) -> None:
    world.webhook(receiver.url)
    exchange = world.matched(PARTY)
    receiver.requests.clear()

    def change() -> None:
        exchanges.complete(found(exchange))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.do(change)
    world.forward(hours=2)
    assert receiver.requests == []


def test_25_a_failing_endpoint_is_retried_and_then_dead(world: World, receiver: Received) -> None:
    """Six attempts, from 30 seconds to an hour apart; then the admin is told, once."""
    world.admin()
    world.webhook(receiver.url, "exchange.matched", "job.failed")
    receiver.status = 500
    begin = world.clock.now()
    world.matched(PARTY)
    world.pass_until(begin + timedelta(hours=3))
    assert len({each["id"] for each in payloads(receiver)}) == 1
    [run] = world.runs("deliver_webhook")
    assert (run.state, run.attempt) == ("failed", 6)
    assert run.error_message == "the webhook answered 500"
    starts = [each.started_at for each in world.scheduler.attempts(run.id) if each.started_at]
    waits = [(b - a).total_seconds() for a, b in pairwise(starts)]
    for wait, expected in zip(waits, (30, 99, 327, 1078, 3558), strict=True):
        assert expected * 0.7 <= wait <= expected * 1.3
    world.scheduler.send_notices()
    [mail] = world.mails()
    assert mail.mail.subject == "Task deliver_webhook failed"
    world.pass_until(world.clock.now() + timedelta(hours=3))
    world.scheduler.send_notices()
    assert world.mails() == []
    assert len(world.runs("deliver_webhook")) == 1


def test_25_a_failed_job_is_told_once(
    world: World, receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the run's id, so that a notice that is repeated repeats no event."""
    world.webhook(receiver.url, "job.failed")
    monkeypatch.setattr(exchanges, "day_is_over", lambda *_: 1 / 0)
    world.matched(PARTY)
    world.move_to("2026-11-02T00:00Z")
    world.pass_for(minutes=5)
    world.scheduler.send_notices()
    world.run_due()
    [told] = payloads(receiver)
    assert told["data"] == {"job": "auto_complete_exchanges", "task": "auto_complete_exchanges"}
    assert told["id"] == world.run("auto_complete_exchanges").id


def test_25_private_addresses_are_refused(migrated_url: str, receiver: Received) -> None:
    """At once and for good, unless the configuration allows them."""
    with world_on(migrated_url, allow_private_webhooks=False) as world:
        world.webhook(receiver.url, "exchange.matched")
        world.matched(PARTY)
        run = world.run("deliver_webhook")
    assert (run.state, run.attempt) == ("failed", 1)
    assert "not a public address" in str(run.error_message)
    assert receiver.requests == []


def test_25_a_redirect_is_refused(world: World, receiver: Received) -> None:
    world.webhook(receiver.url, "exchange.matched")
    receiver.status, receiver.headers = 302, {"location": "http://127.0.0.1/elsewhere"}
    world.matched(PARTY)
    assert world.run("deliver_webhook").state == "failed"


def test_nothing_that_is_stored_or_logged_names_a_match(
    world: World, receiver: Received, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither arguments nor results nor logs of runs, nor what webhooks are told."""
    caplog.set_level("DEBUG")
    world.webhook(receiver.url)
    exchange = world.exchange("2026-12-01T18:00", people=3)
    names = ("Aurelia", "Balthazar", "Cassandra")
    for person, name in zip(world.participants(exchange), names, strict=True):
        world.change(person.id, name=name)
    world.match(exchange)
    world.move_to("2026-11-24T23:00Z")
    seen = [caplog.text, *map(str, payloads(receiver))]
    for run in world.scheduler.runs(limit=1000):
        seen += [str(run.args), str(run.result), str(world.scheduler.run_log(run.id))]
        assert "receiver" not in str(run.args)
    for name in names:
        assert not [text for text in seen if name in text]
    assert not [text for text in seen if "@" in text]
