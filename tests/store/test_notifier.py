"""Notifier between processes: early after a call, and few after many calls."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, create_engine

from duly.store import notifier
from duly.store.notifier import Notifier, Subscription
from tests.support.waiting import wait_until


class Counting:
    """A database that only counts the notices it carries."""

    def __init__(self) -> None:
        self.sent = 0
        self.carried = threading.Event()

    def send_notice(self, engine: Engine, sender: str) -> None:
        self.sent += 1
        self.carried.set()

    def subscribe(self, engine: Engine, sender: str) -> Subscription:
        raise NotImplementedError


def test_rule_28_many_calls_become_few_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first goes out at once, one more after a pause speaks for all that came meanwhile."""
    monkeypatch.setattr(notifier, "PAUSE", 0.5)
    counted = Counting()
    engine = create_engine("sqlite://")
    sent = Notifier(engine, None, counted)
    sent.send()
    assert counted.carried.wait(30)
    for _ in range(50):  # each gives the sender the time that it needs to send one at once
        counted.carried.clear()
        sent.send()
        counted.carried.wait(0.02)
    wait_until(lambda: counted.sent >= 2, what="the notice after the pause")
    sent.settle()
    assert counted.sent < 25
    engine.dispose()
