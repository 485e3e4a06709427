"""A worker that the network cuts off for longer than its lease, and that then reconnects."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from duly import Heartbeat, Run, Scheduler, every
from tests.chaos.proxy import Proxy, Route
from tests.support.postgresql import PostgresServer
from tests.support.waiting import wait_until

JOBS = 5
BEAT = Heartbeat(interval=1, fence=10, lease=13, rescue=2)
"""Long enough that a busy machine starves nobody who is not cut off."""


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    """A proxy between the workers and the server that stands in for the network."""
    made = Proxy(("127.0.0.1", postgres.port))
    yield made
    made.close()


class Worker:
    """A scheduler behind a route of the proxy; ``hold`` runs until `leave` is set."""

    def __init__(self, url: str, route: Route, places: int) -> None:
        queues = {"default": places, "quick": 5}
        self.scheduler = Scheduler(url, heartbeat=BEAT, grace=1, queues=queues)
        self.route, self.leave = route, threading.Event()
        self.runs: list[Run] = []

        @self.scheduler.task(name="hold")
        def hold(run: Run) -> str:
            self.runs.append(run)
            assert self.leave.wait(110)
            return "done"

        self.scheduler.task(name="count")(lambda: None)

    @property
    def id(self) -> str | None:
        """The id under which it is registered now."""
        return self.scheduler.worker_id


@pytest.mark.timeout(600)
def test_a_worker_cut_off_beyond_its_lease_is_fenced_and_everything_is_decided_once(
    prepared_postgresql_url: str, postgres: PostgresServer, proxy: Proxy
) -> None:
    """Packets vanish without an error. The other worker's run continues; its own is rescued."""
    routes = proxy.route(), proxy.route()
    urls = [prepared_postgresql_url.replace(f":{postgres.port}/", f":{n.port}/") for n in routes]
    cut, other = Worker(urls[0], routes[0], 1), Worker(urls[1], routes[1], 2)
    look = Scheduler(prepared_postgresql_url)
    for name in ("hold", "count"):
        look.task(name=name)(lambda: None)
    for n in range(JOBS):
        look.add("count", every(seconds=1), id=f"j{n}", catch_up="all", queue="quick")
    own_run = look.enqueue("hold")
    cut.scheduler.start()
    wait_until(lambda: cut.runs)
    others_run = look.enqueue("hold")
    other.scheduler.start()
    wait_until(lambda: other.runs)
    life = cut.id
    proxy.do(cut.route.swallow, True)
    wait_until(lambda: cut.id != life, what="the fence")
    assert cut.runs[0].lease_lost
    wait_until(lambda: len(other.runs) == 2, what="the rescue")
    proxy.do(cut.route.swallow, False)
    wait_until(lambda: cut.id not in (None, life), what="the new life")
    assert not any(run.lease_lost for run in other.runs)
    for worker in (cut, other):
        worker.leave.set()
    for run_id in (own_run, others_run):
        wait_until(lambda run_id=run_id: look.run(run_id).state == "succeeded")  # type: ignore[misc]
    assert [
        (look.run(run_id).crashes, look.run(run_id).attempt) for run_id in (own_run, others_run)
    ] == [
        (1, 2),
        (0, 1),
    ]
    for worker in (cut, other):
        worker.scheduler.stop()
    for n in range(JOBS):
        times = [run.scheduled_for for run in look.runs(job=f"j{n}", limit=1000)]
        nominal = {moment for moment in times if moment is not None}
        missed = sum(gap.count for gap in look.missed(f"j{n}"))
        assert len(nominal) == len(times)
        assert len(nominal) + missed == (max(nominal) - min(nominal)).total_seconds() + 1
    look.store.dispose()
