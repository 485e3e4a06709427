"""Prometheus metrics of a process and of the database."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from duly import Discard, Retry, Scheduler, VirtualClock, every
from duly.errors import ConfigurationError, UnknownOption
from duly.observe import Metrics, serving
from tests.support.processes import Children

CANARY = "canary-9c1f"


def values(text: str) -> dict[tuple[str, frozenset[str]], float]:
    """Return the values of an exposition by name and the values of all labels."""
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class World:
    """One measured scheduler under a virtual clock."""

    def __init__(self, url: str) -> None:
        self.clock = VirtualClock()
        self.scheduler = Scheduler(url, clock=self.clock, queues={"default": 5})
        self.metrics = Metrics.of(self.scheduler)

    def value(self, name: str, *labels: str, part: str = "all") -> float | None:
        text, _type = self.metrics.expose(part)
        return values(text.decode()).get((name, frozenset(labels)))


@pytest.fixture
def world(prepared_sqlite_url: str) -> Iterator[World]:
    world = World(prepared_sqlite_url)
    yield world
    world.scheduler.stop(grace=0)
    world.scheduler.store.dispose()


def test_attempts_are_measured_by_task_and_queue(world: World) -> None:
    """Each attempt counts, also one that is retried; how it ended is a label of its duration."""
    scheduler = world.scheduler

    @scheduler.task(retry=Retry(attempts=2, wait=1))
    def flaky() -> None:
        raise RuntimeError("not now")

    @scheduler.task()
    def give_up() -> None:
        raise Discard("obsolete")

    scheduler.enqueue(flaky)
    scheduler.enqueue(give_up)
    scheduler.tick()
    world.clock.advance(10)
    scheduler.tick()
    assert world.value("duly_attempts_started_total", "flaky", "default") == 2
    duration = "duly_attempt_duration_seconds_count"
    assert world.value(duration, "flaky", "default", "raised") == 2
    assert world.value(duration, "give_up", "default", "discarded") == 1
    assert world.value("duly_runs_total", "flaky", "default", "failed") == 1
    assert world.value("duly_runs_total", "give_up", "default", "discarded") == 1
    assert (world.value("duly_worker_step_seconds_count") or 0) > 0


def test_lateness_counts_from_the_nominal_time(world: World) -> None:
    """And the wait in the queue from the instant at which the run could start."""
    scheduler = world.scheduler
    scheduler.task(name="work")(lambda: None)
    scheduler.add("work", every(minutes=1), id="j")
    world.clock.advance(67)
    scheduler.tick()
    late, waited = "duly_run_lateness_seconds_sum", "duly_run_queue_wait_seconds_sum"
    assert world.value(late, "work", "default") == pytest.approx(7)
    assert world.value(waited, "work", "default") == pytest.approx(0, abs=0.002)
    scheduler.enqueue("work")
    world.clock.advance(20)
    scheduler.tick()
    assert world.value(waited, "work", "default") == pytest.approx(20, abs=0.002)
    assert world.value(late, "work", "default") == pytest.approx(7)


def test_gauges_of_the_process_and_of_the_database(world: World) -> None:
    world.scheduler.task(name="work")(lambda: None)
    world.scheduler.enqueue("work", delay=60)
    world.scheduler.tick()
    assert world.value("duly_worker_slots", "default") == 5
    assert world.value("duly_worker_runs_in_flight", "default") == 0
    assert world.value("duly_runs_unfinished", "scheduled") == 1
    assert world.value("duly_workers", "alive") == 1
    assert world.value("duly_database_up") == 1


def test_each_part_can_be_asked_for_alone(world: World) -> None:
    """Of several processes, one exports the database."""
    world.scheduler.task(name="work")(lambda: None)
    world.scheduler.enqueue("work")
    world.scheduler.tick()
    key = ("work", "default", "succeeded")
    assert world.value("duly_runs_total", *key, part="process") is None
    assert world.value("duly_runs_total", *key, part="database") == 1
    assert world.value("duly_worker_step_seconds_count", part="database") is None
    with pytest.raises(UnknownOption, match="known: all, database, process"):
        world.metrics.expose("everything")


def test_no_argument_error_or_id_is_exposed(world: World) -> None:
    """Labels are names that code determines."""
    scheduler = world.scheduler

    @scheduler.task()
    def fail(name: str) -> None:
        raise RuntimeError(name)

    scheduler.add(fail, every(seconds=1), id=f"job-{CANARY}", args={"name": CANARY})
    scheduler.enqueue(fail, args={"name": CANARY}, concurrency_key=CANARY)
    world.clock.advance(1)
    scheduler.tick()
    text, _type = world.metrics.expose()
    assert 'task="fail"' in text.decode()
    assert CANARY not in text.decode()


def test_a_host_registers_them_without_a_query(tmp_path: Path) -> None:
    """In a registry of its own, beside its metrics; the database may be away then."""
    scheduler = Scheduler(f"sqlite:///{tmp_path / 'missing' / 'duly.db'}", queues={"default": 5})
    registry = CollectorRegistry(auto_describe=True)
    registry.register(Metrics.of(scheduler))
    assert registry.get_sample_value("duly_database_up") == 0
    assert registry.get_sample_value("duly_worker_slots", {"queue": "default"}) == 5
    assert registry.get_sample_value("duly_dead_letters") is None
    scheduler.store.dispose()


def test_one_scheduler_has_one_set_of_metrics(world: World) -> None:
    """However many parts of a process ask for them."""
    assert Metrics.of(world.scheduler) is world.metrics


def test_trouble_of_workers_is_counted(prepared_sqlite_url: str) -> None:
    """Who finds a dead worker counts it, and the runs that it takes from it."""
    program = (
        "import os, sys; from duly import Scheduler; s = Scheduler(sys.argv[1]);"
        " s.task(name='work')(lambda: os._exit(9)); s.enqueue('work'); s.tick()"
    )
    subprocess.run([sys.executable, "-c", program, prepared_sqlite_url], check=False, timeout=60)
    scheduler = Scheduler(prepared_sqlite_url)
    scheduler.task(name="work")(lambda: None)
    metrics = Metrics.of(scheduler)
    scheduler.tick()
    scheduler.stop()
    scheduler.store.dispose()
    found = values(metrics.expose()[0].decode())
    assert found["duly_workers_lost_total", frozenset()] == 1
    assert found["duly_runs_rescued_total", frozenset()] == 1
    assert found["duly_runs_total", frozenset({"work", "default", "succeeded"})] == 1


# ------------------------------------------------------------------------------ HTTP


def get(port: int, path: str, **headers: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{port}{path}", headers=headers, trust_env=False)


def test_a_process_without_a_web_application_serves_them(world: World) -> None:
    """On the loopback address; a wrong path or part gets an answer that helps."""
    with serving(world.metrics, 0) as port:
        answer = get(port, "/metrics?part=database")
        assert (answer.status_code, "duly_database_up 1.0" in answer.text) == (200, True)
        assert "duly_worker_step_seconds" not in answer.text
        assert "duly_worker_step_seconds_count" in get(port, "/metrics").text
        openmetrics = get(port, "/metrics", accept="application/openmetrics-text; version=1.0.0")
        assert openmetrics.text.endswith("# EOF\n")
        assert get(port, "/metrics?part=x").status_code == 422
        assert get(port, "/").status_code == 404
        with (
            pytest.raises(ConfigurationError, match="choose another port"),
            serving(world.metrics, port),
        ):
            pass
    assert not [t for t in threading.enumerate() if t.name == "duly-metrics"]


# ------------------------------------------------------------------------------ processes

FORKS = """
import os, sys
from duly import Scheduler
from duly.observe import Metrics
scheduler = Scheduler(sys.argv[1])
metrics = Metrics.of(scheduler)
scheduler.task(name="work")(lambda: None)

def work(times):
    for _ in range(times):
        scheduler.enqueue("work")
    scheduler.tick()
    scheduler.stop()
    text = metrics.expose("process")[0].decode()
    found = [x for x in text.splitlines() if x.startswith("duly_attempts_started_total{")]
    print(os.getpid() == parent, *found, flush=True)

parent = os.getpid()
work(3)
child = os.fork()
if child:
    os.waitpid(child, 0)
work(2 if child else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_begins_at_zero(prepared_sqlite_url: str, children: Children) -> None:
    """Otherwise the parent's attempts would be counted in both."""
    child = children.python("-c", FORKS, prepared_sqlite_url)
    assert child.wait(timeout=60) == 0, child.output()
    sample = 'duly_attempts_started_total{queue="default",task="work"}'
    lines = [line for line in child.output().splitlines() if sample in line]
    assert sorted(lines) == sorted(
        [f"True {sample} 3.0", f"True {sample} 5.0", f"False {sample} 1.0"]
    )


def test_processes_that_share_a_folder_are_added_up(
    prepared_sqlite_url: str, children: Children, tmp_path: Path
) -> None:
    """As under gunicorn: any of them answers for all."""
    folder = tmp_path / "shared"
    folder.mkdir()
    environment: dict[str, Any] = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    child = children.python("-c", FORKS, prepared_sqlite_url, env=environment)
    assert child.wait(timeout=60) == 0, child.output()
    sample = 'duly_attempts_started_total{queue="default",task="work"}'
    totals = [float(line.split()[-1]) for line in child.output().splitlines() if sample in line]
    assert max(totals) == 6
