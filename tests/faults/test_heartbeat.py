"""The heartbeat of a busy worker: nothing that the worker itself does may delay it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import make_url

from duly import Scheduler
from duly.store import workers
from tests.chaos.proxy import Proxy
from tests.support.waiting import wait_until
from tests.worker.internals import lease_of

ONE_WAY_S = 0.0025
THREADS = 8


@pytest.fixture(params=["postgresql", "mariadb"])
def server_url(request: pytest.FixtureRequest) -> str:
    """A prepared database on each kind of server."""
    return str(request.getfixturevalue(f"prepared_{request.param}_url"))


@pytest.fixture
def distant_url(server_url: str) -> Iterator[str]:
    """The same database, each of whose answers takes 5 ms longer."""
    url = make_url(server_url)
    proxy = Proxy((str(url.host), url.port or 3306))
    route = proxy.route()
    proxy.do(route.delay, ONE_WAY_S)
    yield url.set(port=route.port).render_as_string(hide_password=False)
    proxy.close()


def test_E11_a_heartbeat_does_not_wait_for_a_claim_of_its_worker(server_url: str) -> None:
    """A beat succeeds while a claim of the same worker is open, however long that stays open."""
    scheduler = Scheduler(server_url, heartbeat="fast")
    scheduler.tick()
    lease, before = lease_of(scheduler), scheduler.workers()[0].beat_at
    with scheduler.store.write() as tx:
        assert workers.lock(tx, lease.worker_id)
        lease.beat()
        assert scheduler.workers()[0].beat_at > before
    scheduler.stop()


def test_E11_a_claim_does_not_wait_for_a_heartbeat_of_its_worker(server_url: str) -> None:
    """A beat whose commit takes long does not stop its worker from claiming."""
    scheduler = Scheduler(server_url)
    scheduler.tick()
    worker_id = lease_of(scheduler).worker_id
    with scheduler.store.write() as beating:
        until = beating.now.replace(year=2999)
        assert workers.beat(beating.conn, worker_id, beating.now, until, draining=False)
        with scheduler.store.write() as tx:
            assert workers.lock(tx, worker_id)
    scheduler.stop()


def test_E11_enqueueing_without_a_pause_does_not_delay_the_heartbeat(distant_url: str) -> None:
    """Eight threads enqueue in a loop, 5 ms from the server: the worker keeps its registration.

    Their claims overlap, so that at each moment one of them holds the worker's lock.
    """
    scheduler = Scheduler(distant_url, heartbeat="fast", queues={"default": 50})
    scheduler.task(name="work")(lambda: None)
    enough = threading.Event()

    def enqueue() -> None:
        while not enough.is_set():
            scheduler.enqueue("work")

    threads = [threading.Thread(target=enqueue, daemon=True) for _ in range(THREADS)]
    with scheduler.running():
        wait_until(lambda: scheduler.state == "running")
        worker_id, beats = scheduler.worker_id, set[datetime]()
        for thread in threads:
            thread.start()

        def beat_often_enough() -> bool:
            beats.update(worker.beat_at for worker in scheduler.workers())
            return len(beats) >= 6 or scheduler.worker_id != worker_id

        wait_until(beat_often_enough)
        enough.set()
        for thread in threads:
            thread.join(60)
        assert scheduler.worker_id == worker_id
        assert not [e for e in scheduler.events() if e.kind in ("worker.late", "worker.fenced")]
