"""Notices between processes: prompt after one call, and few after many calls."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, create_engine

from duly.store import notifier
from duly.store.notifier import Notifier, Subscription
from tests.support.waiting import wait_until


class CountingDialect:
    """A database that only counts the notices that are sent."""

    def __init__(self) -> None:
        self.sent = 0
        self.delivered = threading.Event()

    def send_notice(self, engine: Engine, sender: str) -> None:
        self.sent += 1
        self.delivered.set()

    def subscribe(self, engine: Engine, sender: str) -> Subscription:
        raise NotImplementedError


def test_rule_28_many_calls_become_few_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is sent at once; one more after a pause stands for all calls in between."""
    monkeypatch.setattr(notifier, "PAUSE", 0.5)
    dialect = CountingDialect()
    engine = create_engine("sqlite://")
    sending = Notifier(engine, None, dialect)
    sending.send()
    assert dialect.delivered.wait(30)
    for _ in range(50):  # each gives the sender the time that it needs to send one at once
        dialect.delivered.clear()
        sending.send()
        dialect.delivered.wait(0.02)
    wait_until(lambda: dialect.sent >= 2, what="the notice after the pause")
    sending.settle()
    assert dialect.sent < 25
    engine.dispose()
