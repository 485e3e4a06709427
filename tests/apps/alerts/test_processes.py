"""The alert system as it is served: items 14, 16 to 18, 24 and 28 of the checklist."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener
from uuid import UUID

import psutil
import psycopg
import pytest

from apps.alerts.models import Alert
from apps.alerts.scheduling import reload
from apps.alerts.tokens import ACCESS, Tokens
from duly import RunRecord, SystemClock, VirtualClock
from tests.apps.alerts.world import SECRET, Person, World, alert_body, world_on
from tests.support.processes import Children, Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

LEASE = 3
opener = build_opener(ProxyHandler({}))


class Site:
    """One database, the processes that serve it, and a world that only looks and writes."""

    def __init__(self, url: str, world: World, children: Children) -> None:
        self.url = url
        self.world = world
        self._children = children

    def serve(self, **env: Any) -> Server:
        """Start a process."""
        usual = {
            "DATABASE_URL": self.url, "JWT_SECRET": SECRET, "LEASE_SECONDS": LEASE,
            "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        given = {**usual, **{name.upper(): value for name, value in env.items()}}
        return self._children.uvicorn(
            "apps.alerts.app:from_environment",
            "--factory",
            ready="/health",
            env={name: str(value) for name, value in given.items()},
        )

    def add(self, person: Person, times: Sequence[datetime]) -> None:
        """Store an alert for each of these times, and its job."""
        now = datetime.now(UTC)
        values = {
            **alert_body(person.client), "client_id": person.client, "lookback": timedelta(days=1),
            "recipients": [], "created_by": person.id, "created_at": now, "updated_at": now,
        }  # fmt: skip
        rows = [Alert(**{**values, "frequency": {"type": "once", "at": str(at)}}) for at in times]
        self.world.add(*rows)
        self.world.wait_for(reload, self.world.services, "test")

    def done(self) -> int:
        """The number of runs that have succeeded."""
        return self.world.scheduler.count_runs(queue="alerts", state="succeeded")

    def instances(self) -> list[UUID]:
        return [instance.alert_id for instance in self.world.instances()]

    def runs(self, **filters: Any) -> list[RunRecord]:
        return self.world.scheduler.runs(queue="alerts", limit=1000, **filters)


@contextmanager
def site_at(url: str, children: Children, clock: Any = None) -> Iterator[Site]:
    with world_on(url, clock=clock or SystemClock()) as world:
        world.wait_for(world.scheduler.aio.stop)
        yield Site(url, world, children)


@pytest.fixture
def site(database_url: str, children: Children) -> Iterator[Site]:
    with site_at(database_url, children) as site:
        yield site


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def assert_one_each(site: Site, count: int) -> None:
    made = site.instances()
    assert len(made) == len(set(made)) == count
    assert [run for run in site.runs() if run.state != "succeeded"] == []


def fetch(server: Server, person: Person, path: str, method: str = "GET") -> Any:
    token = Tokens(SECRET, SystemClock()).issue("access", person.id, ACCESS)
    request = Request(
        f"{server.url}/api/v1/alerts{path}", method=method,
        headers={"authorization": f"Bearer {token}"},
    )  # fmt: skip
    with opener.open(request, timeout=240) as answer:
        return json.loads(answer.read())


def test_14_a_stop_holds_in_every_process(site: Site) -> None:
    """Two processes execute nothing until start; the overdue run then runs once."""
    ana, otto = site.world.person(), site.world.admin()
    servers = [site.serve(), site.serve()]
    assert fetch(servers[0], otto, "/scheduler/stop", "POST")["status"] == "stopped"
    site.add(ana, [soon(0.5)])
    (job,) = fetch(servers[1], otto, "/scheduler/status")["jobs"]
    due = datetime.fromisoformat(job["next_run_time"])
    wait_until(lambda: datetime.now(UTC) > due + timedelta(seconds=2), what="the due time")
    assert site.runs() == []
    assert fetch(servers[1], otto, "/scheduler/start", "POST")["status"] == "running"
    wait_until(lambda: site.done() == 1, what="the overdue run")
    assert_one_each(site, 1)


def test_16_three_processes_execute_200_alerts_once(site: Site) -> None:
    """All of them are due at the same instant: 200 instances, made by several processes."""
    servers = [site.serve() for _ in range(3)]
    site.add(site.world.person(), [soon(3)] * 200)
    wait_until(lambda: site.done() >= 200, what="200 runs")
    assert_one_each(site, 200)
    pids = {worker.id: worker.pid for worker in site.world.scheduler.workers()}
    executed = {pids.get(run.worker_id or "") for run in site.runs()}
    assert executed <= {server.pid for server in servers}
    assert len(executed) > 1


def test_17_killing_a_process_loses_and_doubles_nothing(site: Site) -> None:
    """The other one takes over within the lease and 5 s, and every time is executed once."""
    servers = {server.pid: server for server in (site.serve(), site.serve())}
    site.add(site.world.person(), [soon(3 + number / 10) for number in range(60)])
    wait_until(lambda: site.done() >= 10, what="some runs")
    workers = {worker.id: worker.pid for worker in site.world.scheduler.workers()}
    newest = next(run for run in site.runs() if run.worker_id in workers)
    servers[workers[newest.worker_id or ""]].kill()
    killed = time.monotonic()
    last = max(run.scheduled_for for run in site.runs() if run.scheduled_for)
    wait_until(
        lambda: any(run.scheduled_for and run.scheduled_for > last for run in site.runs()),
        what="a run after the kill",
    )
    assert time.monotonic() - killed < LEASE + 5
    wait_until(lambda: site.done() == 60, what="60 runs")
    assert_one_each(site, 60)


def test_18_a_restart_across_a_due_time(database_url: str, children: Children) -> None:
    """Within the grace it runs once after the restart; beyond it, it is recorded as missed."""
    now = datetime.now(UTC)
    with site_at(database_url, children, VirtualClock(now - timedelta(minutes=20))) as past:
        ana = past.world.person()
        server = past.serve()
        server.terminate()
        past.add(ana, [now - timedelta(minutes=10), now - timedelta(minutes=1)])
    with site_at(database_url, children) as site:
        site.serve(scheduler_misfire_grace_seconds=300)
        wait_until(lambda: site.done() == 1, what="the overdue run")
        wait_until(lambda: len(site.runs()) == 2, what="both decisions")
        late, early = sorted(site.runs(), key=lambda run: run.state)
        assert (early.state, late.state) == ("succeeded", "missed")
        assert (early.scheduled_for, late.scheduled_for) == (
            now - timedelta(minutes=1), now - timedelta(minutes=10),
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_24_500_alerts_at_once_hold_up_no_request(site: Site) -> None:
    """Connections stay within the limit, and 95% of requests are answered within 250 ms.

    The best of three. Where other processes compete for the CPU, a request may take as much longer
    as this process has to wait for it.
    """
    ana = site.world.person()
    server = site.serve()
    measured: list[tuple[float, float]] = []
    for attempt in range(1, 4):
        site.add(ana, [soon(2)] * 500)
        latencies, competition = _latencies_until(site, server, ana, 500 * attempt)
        measured.append((sorted(latencies)[int(len(latencies) * 0.95)], competition))
        if measured[-1][0] < 0.25 * competition:
            break
    assert any(latency < 0.25 * competition for latency, competition in measured), measured
    assert site.done() == len(set(site.instances())) == 500 * len(measured)


def test_28_a_stop_while_alerts_run_ends_in_time(site: Site) -> None:
    """The process ends, and another one executes what is left."""
    server = site.serve(shutdown_grace_seconds=0.5)
    site.add(site.world.person(), [soon(1)] * 60)
    wait_until(lambda: site.done() >= 10, what="some runs")
    asked = time.monotonic()
    server.terminate(timeout=240)
    assert time.monotonic() - asked < 20
    site.serve()
    wait_until(lambda: site.done() == 60, what="60 runs")
    assert_one_each(site, 60)


def test_28_a_run_that_hangs_is_given_back(postgresql_url: str, children: Children) -> None:
    """It is cancelled after the grace, and holds no connection of the database any more."""
    plain = postgresql_url.replace("postgresql+psycopg://", "postgresql://")
    with site_at(postgresql_url, children) as site, psycopg.connect(plain) as blocker:
        server = site.serve(shutdown_grace_seconds=0.5)
        blocker.execute("lock table app.client_metrics")
        site.add(site.world.person(), [soon(0.5)])
        waits = "select count(*) from pg_locks where not granted"
        wait_until(lambda: blocker.execute(waits).fetchone() == (1,), what="a run that waits")
        asked = time.monotonic()
        server.terminate(timeout=240)
        assert time.monotonic() - asked < 20
        wait_until(lambda: blocker.execute(waits).fetchone() == (0,), what="the end of its wait")
        blocker.rollback()
        site.serve()
        wait_until(lambda: site.done() == 1, what="the run")
        assert_one_each(site, 1)


def _latencies_until(
    site: Site, server: Server, person: Person, count: int
) -> tuple[list[float], float]:
    """Measure requests until so many runs are done.

    Returns:
        The durations of the requests, and how long a second of CPU time takes meanwhile.
    """
    latencies, deadline = [], time.monotonic() + 100
    waited = worked = 0.0
    limit = 10 + 5 + 25  # runs, requests, and those of Duly
    while site.done() < count:
        asked = time.monotonic()
        fetch(server, person, "/?limit=20")
        latencies.append(time.monotonic() - asked)
        began, used = time.monotonic(), time.thread_time()
        while time.thread_time() - used < 0.01:
            pass
        waited, worked = waited + time.monotonic() - began, worked + time.thread_time() - used
        assert asked < deadline, f"{site.done()} of {count} runs"
        assert _connections(site, server) <= limit
    return latencies, waited / worked


def _connections(site: Site, server: Server) -> int:
    """Return the number of connections to the database that a process holds."""
    process = psutil.Process(server.pid)
    if site.url.startswith("sqlite"):
        name = site.url.rpartition("/")[2]
        return sum(file.path.endswith(name) for file in process.open_files())
    return sum(one.raddr != () and one.status == "ESTABLISHED" for one in process.net_connections())
