"""Sample data: two clients with moving figures, and alerts of which some run within a minute."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts import alerts
from apps.alerts.accounts import add_user
from apps.alerts.models import SYSTEM_USER, Alert, Client, Instance, Metric, Outcome, User
from apps.alerts.services import Services
from duly import Run, every

MEMBER = ("ana@example.com", "figures-at-nine")
ADMIN = ("otto@example.com", "keeps-the-clock")

_CLIENTS = ("Acme Outdoor", "Brightside Coffee")
_FIGURES = {
    "cplpv": (2.6, 0.5),
    "spend": (1180.0, 160.0),
    "ctr": (1.1, 0.25),
    "orders": (42.0, 9.0),
}
"""The mean and the amplitude of each metric."""

_KEPT = timedelta(days=1)
_TASK = {"title": "Look into $metric: it is $value", "body": "", "assignee": MEMBER[0]}
_FIRST, _SECOND, _BROKEN = "High cost per visit", "Spend above plan", "Orders of the day"
_SOON = {_FIRST: 30, _SECOND: 40}
"""After how many seconds of each start these alerts run."""

_ALERTS: tuple[dict[str, Any], ...] = (
    {"name": _FIRST, "metric": "cplpv", "operator": ">", "threshold": 2.1, "task_template": _TASK},
    {"name": _SECOND, "metric": "spend", "operator": ">", "threshold": 1000.0},
    {
        "name": "Ask the agency about the spend", "metric": "spend", "operator": ">",
        "threshold": 900.0, "frequency": None, "task_template": _TASK,
    },
    {
        "name": "Check the budget that is left", "metric": "spend", "operator": ">=",
        "threshold": 2000.0, "frequency": None,
    },
    {
        "name": "Click rate falls", "metric": "ctr", "operator": "<", "threshold": 0.9,
        "frequency": {"type": "weekly", "time": "10:00", "dayOfWeek": [1, 3, 5]},
    },
    {
        "name": "Budget of the fortnight", "metric": "spend", "operator": ">", "threshold": 1300.0,
        "frequency": {
            "type": "monthly", "time": "08:00", "dayOfMonth": [1, 15], "timezone": "Europe/Madrid",
        },
    },
    {
        "name": "Visits in Mumbai", "metric": "ctr", "operator": "<=", "threshold": 0.8,
        "frequency": {"type": "hourly", "time": "00:30", "timezone": "Asia/Kolkata"},
    },
    {
        "name": "Summer campaign", "metric": "orders", "operator": "<", "threshold": 30.0,
        "frequency": {"type": "daily", "times": ["09:00", "17:30"]}, "is_active": False,
    },
)  # fmt: skip


def declare_figures(services: Services) -> None:
    """Declare the job that measures figures, as the systems of a client would."""

    @services.scheduler.job(every(seconds=10), id="demo_figures", keep=0.01)
    async def measure(run: Run) -> None:
        """Store a figure of each metric, and delete those of yesterday."""
        async with services.database.begin() as session:
            clients = list(await session.scalars(select(Client.id)))
            _measure(session, clients, run.now())
            await session.execute(delete(Metric).where(Metric.measured_at < run.now() - _KEPT))


async def seed(services: Services) -> None:
    """Create the sample data once, and let some alerts run soon after every start."""
    now = services.clock.now().replace(microsecond=0)
    async with services.database.session() as session:
        user = await session.scalar(select(User).where(User.email == MEMBER[0]))
    if user is None:
        user = await _create(services, now)
    async with services.database.begin() as session:
        mine = alerts.alerts_of(user).where(Alert.name.in_(_SOON)).with_for_update()
        for alert in (await session.scalars(mine)).all():
            frequency = _every_five_minutes(now, _SOON[alert.name])
            await alerts.update(services, session, user, alert, {"frequency": frequency})


async def _create(services: Services, now: datetime) -> User:
    async with services.database.begin() as session:
        clients = [Client(name=name) for name in _CLIENTS]
        session.add_all(clients)
    ids = [client.id for client in clients]
    user = await add_user(services, *MEMBER, "client", ids)
    await add_user(services, *ADMIN, "admin")
    async with services.database.begin() as session:
        for minutes in range(0, 24 * 60, 10):
            _measure(session, ids, now - timedelta(minutes=minutes))
        made = {
            values["name"]: await _add(services, session, user, ids[number % 5 == 4], values)
            for number, values in enumerate(_ALERTS)
        }
        names = [_SECOND, "Ask the agency about the spend", "Check the budget that is left"]
        chain = [made[name] for name in names]
        links: list[tuple[Alert, Alert, Outcome]] = [
            (chain[0], chain[1], "on_triggered"), (chain[1], chain[2], "always"),
        ]  # fmt: skip
        for parent, child, condition in links:
            await alerts.set_parents(services, session, user, child, [(parent.id, condition, 0)])
        for name in (_FIRST, _SECOND, "Click rate falls", "Visits in Mumbai"):
            session.add_all(_history(made[name], now))
    await _break_two(services, user, ids[0], now)
    return user


async def _add(
    services: Services, session: AsyncSession, user: User, client: UUID, values: Mapping[str, Any]
) -> Alert:
    usual = {
        "client_id": client, "lookback": timedelta(minutes=5), "recipients": [MEMBER[0]],
        "frequency": {"type": "daily", "time": "09:00"}, "task_template": None, "retry": None,
        "is_active": True,
    }  # fmt: skip
    return await alerts.create(services, session, user, {**usual, **values})


async def _break_two(services: Services, user: User, client: UUID, now: datetime) -> None:
    """Add an alert that fails, as an older version stored it, and one that cannot be scheduled."""
    at = (now + timedelta(seconds=20)).isoformat()
    async with services.database.begin() as session:
        failing = await _add(
            services, session, user, client,
            {"name": _BROKEN, "metric": "orders", "operator": ">", "threshold": 5.0,
             "frequency": {"type": "once", "at": at}},
        )  # fmt: skip
        imported = await _add(
            services, session, user, client,
            {"name": "Imported alert", "metric": "orders", "operator": "<", "threshold": 20.0},
        )  # fmt: skip
        damaged: dict[str, Any] = {"heading": "Plan the next orders"}
        await session.execute(
            update(Alert).where(Alert.id == failing.id).values(task_template=damaged)
        )
        frequency = {"type": "daily", "time": "9am", "timezone": "America/Los_Angeles"}
        await session.execute(
            update(Alert).where(Alert.id == imported.id)
            .values(frequency=frequency, schedule_version=Alert.schedule_version + 1)
        )  # fmt: skip


def _every_five_minutes(now: datetime, seconds: int) -> dict[str, Any]:
    anchor = (now + timedelta(seconds=seconds)).isoformat()
    return {"type": "interval", "every_minutes": 5, "anchor": anchor}


def _measure(session: AsyncSession, clients: list[UUID], moment: datetime) -> None:
    session.add_all(
        Metric(client_id=client, metric=metric, value=_value(metric, moment), measured_at=moment)
        for client in clients
        for metric in _FIGURES
    )


def _value(metric: str, moment: datetime) -> float:
    """Return a figure that rises and falls within ten minutes, and over the day."""
    mean, amplitude = _FIGURES[metric]
    seconds = (moment - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()
    wave = math.sin(seconds / 600 * math.tau) + math.sin(seconds / 86_400 * math.tau)
    return round(mean + amplitude * (wave / 2 + random.uniform(-0.2, 0.2)), 4)


def _history(alert: Alert, now: datetime) -> list[Instance]:
    """Return evaluations of the last day, one for each half an hour, which have been rising."""
    found = []
    for number in range(1, 48):
        moment = now - timedelta(minutes=30 * number)
        value = round(_value(alert.metric, moment) * (1 - number / 160), 4)
        met = value > alert.threshold if alert.operator == ">" else value < alert.threshold
        found.append(
            Instance(
                alert_id=alert.id, client_id=alert.client_id, triggered_by=SYSTEM_USER,
                trigger="schedule", scheduled_for=moment, triggered_at=moment, condition_met=met,
                observed_value=value, threshold=alert.threshold,
                status="triggered" if met else "ok",
            )
        )  # fmt: skip
    return found
