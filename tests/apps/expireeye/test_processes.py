"""ExpireEye as it is served: real uvicorn processes on one database."""

from __future__ import annotations

import json
import socket as sockets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
from sqlalchemy import Engine, create_engine, func, insert, select
from sqlalchemy.orm import Session
from websockets.sync.client import ClientConnection, connect

from apps.expireeye.jobs import CHECK
from apps.expireeye.models import Base, Notification, Product, SignIn, User, UserProduct
from apps.expireeye.tokens import ACCESS, Tokens
from duly import RunRecord, Scheduler, SystemClock, prepare_engine
from tests.apps.expireeye.world import SECRET
from tests.support.processes import Children, Server, status
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

EVERY_SECOND = "* * * * * *"
MANY = 12_000  # notices of 600 bytes: more than the 4 MiB that a kernel keeps for a socket
opener = build_opener(ProxyHandler({}))


class Site:
    """One database, and the processes that serve it."""

    def __init__(self, url: str, children: Children) -> None:
        self.url = url
        self._children = children
        self.engine: Engine = prepare_engine(
            create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        )
        Base.metadata.create_all(self.engine)
        self._reading = self.engine.execution_options(duly_read_only=True)
        self._scheduler = Scheduler(url)

    def close(self) -> None:
        self._scheduler.stop()
        self.engine.dispose()

    def runs(self, **filters: Any) -> list[RunRecord]:
        return self._scheduler.runs(job=CHECK, limit=1000, **filters)

    def worker_pids(self) -> dict[str, int]:
        return {worker.id: worker.pid for worker in self._scheduler.workers()}

    def serve(self, **env: Any) -> Server:
        """Start a process; it checks every second."""
        usual = {
            "DATABASE_URL": self.url,
            "JWT_SECRET": SECRET,
            "SCHEDULER_HEARTBEAT": "fast",
            "EXPIRY_CHECK_FREQUENCY": EVERY_SECOND,
            "LOG_LEVEL": "WARNING",
        }
        return self._children.uvicorn(
            "apps.expireeye.app:from_environment",
            "--factory",
            ready="/health/live",
            env={**usual, **{name.upper(): str(value) for name, value in env.items()}},
        )

    def user(self, email: str) -> int:
        with Session(self.engine) as session, session.begin():
            user = User(email=email, password_hash="none", created_at=datetime.now(UTC))
            session.add(user)
            session.flush()
            later = datetime.now(UTC) + ACCESS
            session.add(
                SignIn(id=f"of {user.id}", user_id=user.id, expires_at=later, created_at=later)
            )
            return user.id

    def due(self, user_id: int, count: int, *, name: str = "Milk", late: float = 60) -> None:
        """Give someone items whose date passed ``late`` seconds ago."""
        now = datetime.now(UTC)
        with Session(self.engine) as session, session.begin():
            product = Product(name=name)
            session.add(product)
            session.flush()
            row = {
                "user_id": user_id, "product_id": product.id, "created_at": now, "updated_at": now,
                "expiry_date": now - timedelta(seconds=late),
            }  # fmt: skip
            session.execute(insert(UserProduct), [row] * count)

    def count(self, what: Any = Notification, **filters: Any) -> int:
        with Session(self._reading) as session:
            wanted = select(func.count()).select_from(what).filter_by(**filters)
            return session.scalar(wanted) or 0

    def notices(self) -> list[Notification]:
        with Session(self._reading) as session:
            return list(session.scalars(select(Notification)))


@pytest.fixture
def site(database_url: str, children: Children) -> Iterator[Site]:
    site = Site(database_url, children)
    yield site
    site.close()


@pytest.fixture
def sqlite_site(sqlite_url: str, children: Children) -> Iterator[Site]:
    site = Site(sqlite_url, children)
    yield site
    site.close()


@contextmanager
def socket_to(server: Server, user_id: int, **options: Any) -> Iterator[ClientConnection]:
    """A signed-in socket that has received its ``ready``."""
    token = Tokens(SECRET, SystemClock()).issue("access", ACCESS, id=f"of {user_id}")
    url = server.url.replace("http://", "ws://") + "/ws/notifications"
    with connect(url, proxy=None, **options) as socket:
        socket.send(json.dumps({"type": "auth", "token": token}))
        assert json.loads(socket.recv(timeout=240))["type"] == "ready"
        yield socket


def fetch(server: Server, path: str) -> str:
    with opener.open(server.url + path, timeout=240) as answer:
        return str(answer.read().decode())


def assert_one_each(site: Site, count: int) -> None:
    notices = site.notices()
    assert len(notices) == len({notice.dedupe_key for notice in notices}) == count
    assert len({notice.user_product_id for notice in notices}) == count
    assert site.count(UserProduct, status="expired") == count


def test_08_two_processes_a_thousand_items_a_thousand_notices(site: Site) -> None:
    """Each item expires once, however many processes there are."""
    site.due(site.user("ana@example.com"), 1000)
    first = site.serve(expiry_batch_size=20)
    second = site.serve(expiry_batch_size=20)
    wait_until(lambda: site.count() == 1000, what="a thousand notices")
    started = len(site.runs())
    wait_until(lambda: len(site.runs()) > started + 2, what="some more ticks")
    assert_one_each(site, 1000)
    assert set(site.worker_pids().values()) == {first.pid, second.pid}


def test_08_killing_one_in_the_middle_loses_and_doubles_nothing(site: Site) -> None:
    """After kill -9 of the working process, the other one finishes; there are 1,000 in all."""
    site.due(site.user("ana@example.com"), 1000)
    usual = {"expiry_batch_size": 4, "scheduler_heartbeat": "normal"}
    servers = {s.pid: s for s in (site.serve(**usual) for _ in range(2))}

    def caught() -> str | None:
        """A run whose process is made to stand still in the middle of it."""
        found = _at_work(site, 100)
        if found is None:
            return None
        servers[found[0]].freeze()
        if _at_work(site, 100) == found:
            servers[found[0]].kill()
            return found[1]
        servers[found[0]].thaw()
        return None

    run_id = wait_until(caught, what="a run under way")
    assert 100 <= site.count() < 1000
    wait_until(lambda: site.count() == 1000, what="a thousand notices")
    wait_until(lambda: not site.runs(state="running"), what="the end of all runs")
    assert [run.id for run in site.runs() if run.crashes] == [run_id]
    assert_one_each(site, 1000)


def test_09_a_push_reaches_the_process_that_holds_the_socket(site: Site) -> None:
    """Process A processes the item; the user is connected to process B."""
    ana, ben = site.user("ana@example.com"), site.user("ben@example.com")
    a, b = site.serve(log_level="INFO"), site.serve(log_level="INFO", scheduler_enabled=False)
    with socket_to(b, ana) as hers, socket_to(b, ben) as his:
        site.due(ana, 1)
        frame = json.loads(hers.recv(timeout=240))
        assert frame["message"] == "Product Milk has expired"
        with pytest.raises(TimeoutError):
            his.recv(timeout=0.7)
    (notice,) = site.notices()
    assert frame["id"] == notice.id
    assert "expireeye_notices_total 1.0" in fetch(a, "/metrics").splitlines()
    assert "expireeye_notices_total 0.0" in fetch(b, "/metrics").splitlines()
    wait_until(lambda: site.notices()[0].first_pushed_at, what="the stored push")
    # the console is enough to follow it from detection to push
    run = rf"\[{CHECK} [0-9a-f-]{{36}}\]"
    a.wait_for(rf"expireeye\.jobs {run}: Item {notice.user_product_id} has expired")
    a.wait_for(rf"expireeye\.jobs {run}: Notification {notice.id} stored for user {ana}")
    b.wait_for(rf"expireeye\.follower: Notification {notice.id} for user {ana}: queued")


def test_13_a_stalled_socket_does_not_delay_others(sqlite_site: Site) -> None:
    """While one client reads nothing, another user's push takes under a second."""
    site = sqlite_site
    stuck, ana = site.user("stuck@example.com"), site.user("ana@example.com")
    server = site.serve()
    raw = sockets.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    with (
        socket_to(server, stuck, sock=raw, max_queue=1, compression=None),
        socket_to(server, ana) as hers,
    ):
        site.due(stuck, MANY, name="x" * 200, late=60)
        wait_until(lambda: site.count() >= 500, what="the flood")
        site.due(ana, 1, late=120)  # the longest overdue: the first of the next run
        frame = json.loads(hers.recv(timeout=240))
        delay = datetime.now(UTC) - datetime.fromisoformat(frame["timestamp"])
        assert (frame["productName"], delay < timedelta(seconds=1)) == ("Milk", True), delay
        line = "expireeye_open_sockets 1.0"
        wait_until(lambda: line in fetch(server, "/metrics"), what="the drop")
    wait_until(lambda: site.count() == MANY + 1, what="every notice")


@pytest.mark.timeout(600)
def test_14_ten_thousand_due_items_do_not_hold_up_requests(site: Site) -> None:
    """While they are processed, `/health/live` answers within 250 ms.

    The best of three, for the machine may be busy with other tests.
    """
    server, ana = site.serve(), site.user("ana@example.com")
    worst = []
    for attempt in range(1, 4):
        site.due(ana, 10_000)
        worst.append(max(_latencies_until(site, server, 10_000 * attempt)))
        if worst[-1] < 0.25:
            break
    assert min(worst) < 0.25, worst
    assert_one_each(site, 10_000 * len(worst))


def test_18_sigterm_during_a_run_ends_in_time(site: Site) -> None:
    """The process exits without a half-written batch, and another one continues."""
    site.due(site.user("ana@example.com"), 1000)
    server = site.serve(expiry_batch_size=1, shutdown_grace_seconds=0.2)
    wait_until(lambda: site.count() >= 10, what="a run under way")
    asked = time.monotonic()
    server.terminate(timeout=240)
    assert time.monotonic() - asked < 20
    held = site.count()
    assert held < 1000
    assert site.count(UserProduct, status="expired") == held
    site.serve()
    wait_until(lambda: site.count() == 1000, what="a thousand notices")
    assert_one_each(site, 1000)


def test_the_database_may_start_later(postgresql_url: str, children: Children) -> None:
    """Without a database, requests are served and readiness reports 503."""
    away = postgresql_url.rsplit("/", 1)[0] + "/not_there"
    site = Site(postgresql_url, children)
    server = site.serve(database_url=away)
    assert json.loads(fetch(server, "/health/live")) == {"status": "ok"}
    assert status(f"{server.url}/health/ready") == 503
    assert server.running
    site.close()


def _at_work(site: Site, done: int) -> tuple[int, str] | None:
    """Which process has a run under way that has stored ``done`` notices, and which run."""
    running = site.runs(state="running") if site.count() >= done else []
    pid = site.worker_pids().get(running[0].worker_id or "") if running else None
    return (pid, running[0].id) if pid else None


def _latencies_until(site: Site, server: Server, count: int) -> list[float]:
    """Return the durations of successive requests until a number of notices is stored."""
    latencies, deadline = [], time.monotonic() + 50
    while site.count() < count:
        asked = time.monotonic()
        fetch(server, "/health/live")
        latencies.append(time.monotonic() - asked)
        assert asked < deadline, f"{site.count()} of {count} notices"
    return latencies
