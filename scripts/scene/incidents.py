"""What people do in the scene, and what happens to them: calls of the scheduler at their times."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from sqlalchemy import update

from duly import Scheduler, cron
from duly.store import tables
from scripts.scene.cast import TOKYO

MONDAY, TODAY = date(2026, 11, 23), date(2026, 11, 24)
MORNING = datetime(2026, 11, 22, tzinfo=UTC)


class Incident(NamedTuple):
    """Something that happens at a time.

    Attributes:
        moment: when.
        act: what.
    """

    moment: datetime
    act: Callable[[Scheduler], object]


def of_monday() -> Iterator[Incident]:
    """Yield what happens after the deploy, before the outage."""
    wording = "Legal has to look at the new wording first"
    payments = ["oncall@shop.example", "https://chat.example/hooks/payments?token=3fa9"]
    on, silent = ["run.failed", "job.failing", "job.recovered"], ["run.late", "job.recovered"]
    for incident in (
        _call("14:20", "add_notice_rule", "payments", on=on, queues=["payments"], to=payments,
              every=900, actor="fatima"),
        _call("14:24", "add_notice_rule", "silent jobs", on=silent, to=["data@shop.example"],
              actor="李雷"),
        _call("14:32", "pause", "newsletter/US", reason=wording, actor="ana"),
        _call("15:40", "edit", "refresh-prices/JP", trigger=cron("*/30 * * * *", tz=TOKYO),
              actor="björn"),
        _call("16:15", "edit", "load/refunds", timeout=600, priority=5, actor="李雷"),
        _call("17:30", "run_now", "back-up/orders", actor="fatima"),
    ):  # fmt: skip
        yield _at(MONDAY, *incident)


def of_today() -> Iterator[Incident]:
    """Yield what happens after the outage, until the present of the scene."""
    dunning = "No reminders before the refunds of last week are out"
    klarna = "Klarna has changed its API; see INC-2291"
    period = (MORNING, MORNING + timedelta(hours=30))
    customers = [{"customer": 40_000 + number} for number in range(380)]
    for incident in (
        *_charges(),
        _call("06:55", "pause", "reconcile/klarna", reason=klarna, actor="björn"),
        _call("07:20", "pause", tag="dunning", reason=dunning, actor="chiara"),
        _call("07:31", "create_key", "grafana", role="viewer", expires_in=timedelta(days=90),
              actor="fatima"),
        _call("07:33", "create_key", "deploy pipeline", role="operator", rate=600,
              actor="fatima"),
        _call("07:34", "create_key", "acme gmbh", role="viewer", owners=["acme-gmbh"],
              expires_in=timedelta(hours=7), actor="fatima"),
        _call("08:41", "backfill", "load/orders", *period, actor="李雷"),
        _call("09:02", "pause_queue", "reports", reason="The mail server is down",
              actor="chiara"),
        ("09:30", _roll_back),
        _call("09:58", "resume_queue", "reports", actor="chiara"),
        _call("10:15", "discard_runs", reason="Wrong feed; prices come again tonight",
              state="failed", job="refresh-prices/DE", actor="ana"),
        _call("14:12", "enqueue_many", "data.recompute", customers, actor="ana"),
        _call("14:19", "run_now", "plan-routes/Lyon", actor="ana"),
        _call("14:21", "run_now", "snapshots/eu-03", actor="ana"),
        _call("14:22", "run_now", "invoices/ES", actor="fatima"),
    ):  # fmt: skip
        yield _at(TODAY, *incident)


def _charges() -> Iterator[tuple[str, Callable[[Scheduler], object]]]:
    """Yield 500 charges of a night in which a bank was away."""
    rng = random.Random(500)
    for clock, number in (("02:04", 60), ("02:19", 140), ("02:34", 180), ("02:49", 120)):
        calls = [
            {"order": 812_000 + rng.randrange(9000), "card_token": f"tok_{n}"}
            for n in range(number)
        ]
        yield _call(clock, "enqueue_many", "billing.charge_card", calls)


def _roll_back(scheduler: Scheduler) -> None:
    """Leave behind what a newer version has stored, and the present one cannot read."""
    mine = update(tables.job).where(tables.job.c.id == "hazardous-goods-check")
    with scheduler.store.engine.begin() as conn:
        conn.execute(mine.values(trigger='{"kind":"tide","port":"Lisboa"}'))


def _call(
    clock: str, name: str, *args: Any, **options: Any
) -> tuple[str, Callable[[Scheduler], object]]:
    return clock, lambda scheduler: getattr(scheduler, name)(*args, **options)


def _at(day: date, clock: str, act: Callable[[Scheduler], object]) -> Incident:
    moment = datetime.combine(day, time.fromisoformat(clock), UTC)
    return Incident(moment + timedelta(seconds=7), act)
