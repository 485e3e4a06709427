"""Many alerts of one minute: are all evaluated once, and does the API respond meanwhile?

The alert system of ``apps/alerts`` in several processes on one PostgreSQL. All alerts are due at
one instant, each at the local time that its zone then has; the zones are four. Meanwhile a client
creates, reads, changes and deletes an alert again and again through the API. Not a part of
``make bench``.

    python -m bench.alerts_morning [--n 10000] [--processes 2] [--workers 10] [--web 1] [--nice 10]

The client's requests go to the ``--web`` processes, which execute nothing; without any, to those
that execute. ``--nice`` lets the system prefer those where all share few cores, and
``--lead`` is how many seconds before the instant the alerts are stored. It fails if
an alert has no instance or two, if a run did not succeed, or if an instance has another time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
from sqlalchemy import event, func, make_url, select

from apps.alerts.app import create_app
from apps.alerts.models import Alert, Client, Instance, Membership, Metric, User
from apps.alerts.scheduling import reload
from apps.alerts.services import Services
from apps.alerts.settings import Settings
from apps.alerts.tokens import ACCESS
from bench.support.databases import fresh
from bench.support.figures import at_share
from bench.support.machine import describe
from bench.support.options import exit_on_sigterm

ZONES = ("America/Los_Angeles", "America/New_York", "Europe/Madrid", "Asia/Kolkata")
ALERTS_OF_A_CLIENT = 250
SECRET = "a key of measurements that is long enough"
PAUSE = 0.05  # between two requests of the client, which is one person's script and no load test


@dataclass(slots=True)
class Morning:
    """What was measured.

    Attributes:
        stored: the seconds and statements in which the jobs of all alerts were stored.
        delays: how long after the instant each alert was evaluated, in seconds.
        outcomes: the number of runs in each state.
        strange: the number of alerts without an instance, with two, or of another time.
        requests: milliseconds of each request of the client, by method: before and during.
        load: the machine's load during it.
    """

    stored: tuple[float, int] = (0, 0)
    delays: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    strange: int = 0
    requests: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    load: float = 0


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--workers", type=int, default=10, help="alerts at once in each process")
    parser.add_argument("--web", type=int, default=0, help="further processes, which only serve")
    parser.add_argument("--grace", type=float, default=300, help="seconds an alert may be late")
    parser.add_argument("--lead", type=float, default=120)
    parser.add_argument("--nice", type=int, default=0, help="of the processes that execute")
    options = parser.parse_args()
    exit_on_sigterm()
    print(*describe(), sep="\n", end="\n\n")
    with fresh("PostgreSQL") as url:
        native = make_url(url).set(drivername="postgresql+asyncpg")
        address = native.render_as_string(hide_password=False)
        morning = asyncio.run(_measure(address, options))
    _report(morning, options)
    if morning.strange or set(morning.outcomes) != {"succeeded"}:
        sys.exit("not every alert was evaluated exactly once")


def _report(morning: Morning, options: argparse.Namespace) -> None:
    seconds, statements = morning.stored
    delays = morning.delays
    print(f"{options.n} jobs stored in {seconds:.1f} s by {statements} statements")
    print(
        f"evaluated {len(delays)} in {max(delays, default=0):.1f} s after the instant "
        f"(p50 {at_share(delays, 0.5):.1f} s): {len(delays) / max(delays, default=1):.0f} a second"
    )
    print(
        f"runs: {dict(morning.outcomes)}; alerts without or with two instances: {morning.strange}"
    )
    for (phase, method), taken in morning.requests.items():
        print(
            f"{phase} {method}: p50 {at_share(taken, 0.5):.0f} ms, p95 {at_share(taken, 0.95):.0f}"
            f" ms, longest {max(taken):.0f} ms of {len(taken)}"
        )
    print(f"load of the machine during it: {morning.load:.1f}")


async def _measure(url: str, options: argparse.Namespace) -> Morning:
    morning = Morning()
    app = create_app(
        Settings(
            database_url=url,
            jwt_secret=SECRET,
            scheduler_enabled=False,
            scheduler_misfire_grace_seconds=options.grace,
        )
    )
    services: Services = app.state.services
    due = datetime.now(UTC) + timedelta(seconds=options.lead)
    due = due.replace(second=0, microsecond=0) + timedelta(minutes=1)
    await services.database.create_tables()
    user, client = await _people(services, options.n)
    await _alerts(services, user, due, options.n)
    morning.stored = await _store_jobs(services)
    with _processes(url, options) as addresses:
        token = services.tokens.issue("access", user, ACCESS)
        await _ready(addresses)
        if datetime.now(UTC) > due - timedelta(seconds=5):
            sys.exit("storing and starting took longer than --lead")
        watching = asyncio.create_task(
            _all_evaluated(services, options.n, due + timedelta(seconds=options.grace + 60))
        )
        await _use_api(morning, addresses, token, client, due, watching)
        morning.load = os.getloadavg()[0]
    await _verify(services, morning, due, options.n)
    await services.database.close()
    return morning


async def _people(services: Services, count: int) -> tuple[UUID, UUID]:
    """Store clients with a figure, and a user of all; return the user and one more client."""
    now = services.clock.now()
    user = User(email="ana@example.com", password_hash="none", role="client", created_at=now)
    clients = [
        Client(id=uuid4(), name=f"Client {number}")
        for number in range(-(-count // ALERTS_OF_A_CLIENT) + 1)
    ]
    async with services.database.begin() as session:
        session.add_all([user, *clients])
        await session.flush()
        session.add_all(Membership(user_id=user.id, client_id=client.id) for client in clients)
        session.add_all(
            Metric(client_id=client.id, metric="cplpv", value=3.0, measured_at=now)
            for client in clients
        )
    return user.id, clients[-1].id


async def _alerts(services: Services, user: UUID, due: datetime, count: int) -> None:
    """Store alerts whose condition holds, each at the local time that its zone then has."""
    now = services.clock.now()
    async with services.database.begin() as session:
        clients = list(await session.scalars(select(Client.id).order_by(Client.name)))
        session.add_all(
            Alert(
                client_id=clients[number // ALERTS_OF_A_CLIENT], name=f"Alert {number}",
                frequency=_daily(ZONES[number % len(ZONES)], due), metric="cplpv", operator=">",
                threshold=2.5, lookback=timedelta(days=1), recipients=[],
                task_template={"title": "$name: $value"}, turn=number % ALERTS_OF_A_CLIENT,
                created_by=user, created_at=now, updated_at=now,
            )
            for number in range(count)
        )  # fmt: skip


def _daily(zone: str, due: datetime) -> dict[str, Any]:
    return {"type": "daily", "time": f"{due.astimezone(ZoneInfo(zone)):%H:%M}", "timezone": zone}


async def _store_jobs(services: Services) -> tuple[float, int]:
    statements = 0

    @event.listens_for(services.database.engine.sync_engine, "before_cursor_execute")
    def count(*_arguments: Any) -> None:
        nonlocal statements
        statements += 1

    began = time.monotonic()
    changes = await reload(services, "bench")
    if changes.errors:
        sys.exit(f"an alert could not be scheduled: {changes.errors[0]}")
    return time.monotonic() - began, statements


@contextmanager
def _processes(url: str, options: argparse.Namespace) -> Iterator[list[str]]:
    """Serve the application in processes, and yield their addresses."""
    environment = {
        **os.environ, "DATABASE_URL": url, "JWT_SECRET": SECRET, "LOG_LEVEL": "ERROR",
        "SCHEDULER_MAX_WORKERS": str(options.workers),
        "SCHEDULER_MISFIRE_GRACE_SECONDS": str(options.grace),
    }  # fmt: skip
    executing = ["true"] * options.processes + ["false"] * options.web
    ports = [_free_port() for _ in executing]
    started = [
        subprocess.Popen(
            [
                *(("nice", "-n", str(options.nice)) if enabled == "true" else ()),
                *(sys.executable, "-m", "apps.alerts", "--port", str(port)),
            ],
            env={**environment, "SCHEDULER_ENABLED": enabled},
        )
        for port, enabled in zip(ports, executing, strict=True)
    ]
    try:
        yield [f"http://127.0.0.1:{port}" for port in ports[-options.web :]]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _ready(addresses: Sequence[str]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for address in addresses:
            while True:
                try:
                    if (await http.get(f"{address}/health/ready")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.5)


async def _all_evaluated(services: Services, count: int, end: datetime) -> None:
    """Return when each alert has an instance, or when it is too late for one."""
    while datetime.now(UTC) < end:
        async with services.database.session() as session:
            if (await session.scalar(select(func.count(Instance.id))) or 0) >= count:
                return
        await asyncio.sleep(1)


async def _use_api(  # noqa: PLR0917 - one call
    morning: Morning, addresses: Sequence[str], token: str, client: UUID, due: datetime,
    until: asyncio.Task[None],
) -> None:  # fmt: skip
    """Create, read, change and delete an alert until all are evaluated."""
    headers = {"authorization": f"Bearer {token}"}
    body = {"client_id": str(client), "name": "Mine", "metric": "cplpv", "threshold": 2.5}
    later = {"frequency": {"type": "weekly", "time": "10:00", "dayOfWeek": [1, 3, 5]}}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:

        async def call(method: str, url: str, **options: Any) -> Any:
            began = time.perf_counter()
            response = await http.request(method, url, **options)
            taken = (time.perf_counter() - began) * 1000
            phase = "before" if datetime.now(UTC) < due else "during"
            morning.requests.setdefault((phase, method), []).append(taken)
            response.raise_for_status()
            await asyncio.sleep(PAUSE)
            return response.json() if response.content else None

        number = 0
        while not until.done():
            api = f"{addresses[number % len(addresses)]}/api/v1/alerts/"
            alert = (await call("POST", api, json=body))["id"]
            await call("GET", f"{api}{alert}")
            await call("PATCH", f"{api}{alert}/frequency", json=later)
            await call("DELETE", f"{api}{alert}")
            number += 1


async def _verify(services: Services, morning: Morning, due: datetime, count: int) -> None:
    async with services.database.session() as session:
        rows = (
            await session.execute(
                select(Instance.alert_id, Instance.scheduled_for, Instance.triggered_at)
            )
        ).all()
    made = Counter(row.alert_id for row in rows)
    wrong = sum(row.scheduled_for != due for row in rows)
    morning.strange = count - len(made) + sum(number > 1 for number in made.values()) + wrong
    morning.delays = [(row.triggered_at - due).total_seconds() for row in rows]
    for state in ("succeeded", "failed", "missed", "skipped", "discarded", "ready", "running"):
        runs = await services.scheduler.aio.count_runs(queue="alerts", state=state)
        if runs:
            morning.outcomes[state] = runs


if __name__ == "__main__":
    main()
