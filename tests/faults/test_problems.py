"""A scheduler that does nothing although each of its processes is well says so, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from duly import Scheduler, VirtualClock, every
from duly.model.finding import Finding
from tests.web.site import Site

LONG = 3600


class Fleet:
    """Schedulers on one database, with one clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = VirtualClock()
        self.made: list[Scheduler] = []

    def scheduler(self, **options: Any) -> Scheduler:
        scheduler = Scheduler(self.url, clock=self.clock, **options)
        scheduler.task(name="work")(work)
        self.made.append(scheduler)
        return scheduler

    def executor(self, **options: Any) -> Scheduler:
        """A worker as ``duly worker`` makes it."""
        scheduler = self.scheduler(**options)
        scheduler.configure_worker(fires=False)
        scheduler.tick()
        return scheduler

    def close(self) -> None:
        for scheduler in self.made:
            scheduler.stop(grace=0)
            scheduler.store.dispose()


def work() -> None:
    """A task."""


@pytest.fixture
def fleet(prepared_database_url: str) -> Iterator[Fleet]:
    made = Fleet(prepared_database_url)
    yield made
    made.close()


@pytest.fixture
def small_fleet(prepared_sqlite_url: str) -> Iterator[Fleet]:
    made = Fleet(prepared_sqlite_url)
    yield made
    made.close()


def only(scheduler: Scheduler) -> Finding:
    """Return the only problem, which health, status and the doctor report alike."""
    (finding,) = scheduler.health().problems
    assert scheduler.status().problems == [finding]
    assert finding in scheduler.examine()
    assert scheduler.health().detail is not None
    return finding


def test_U20_jobs_that_no_worker_fires(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """With ``duly worker`` processes alone, nothing fires."""
    executors = [fleet.executor(), fleet.executor()]
    for number in range(3):
        executors[0].add("work", every(minutes=1), id=f"job-{number}")
    assert executors[0].health().problems == []
    for _ in range(2):
        fleet.clock.advance(45)
        for executor in executors:
            executor.tick()
    problem = only(executors[0])
    expected = "3 jobs are overdue and none of 2 workers fires: start `duly run`"
    assert str(problem).startswith(expected)
    assert problem.level == "problem"
    fleet.clock.advance(40)
    for executor in executors:
        executor.tick()
    logged = [line for line in caplog.messages if line.startswith(expected)]
    assert len(logged) == 2, "each process logs each problem once"
    fleet.scheduler().tick()
    assert executors[0].health().problems == []


def test_U20_jobs_while_no_worker_is_alive(fleet: Fleet) -> None:
    """A process that only serves pages says so as well."""
    server = fleet.scheduler()
    server.add("work", every(minutes=1), id="job")
    fleet.clock.advance(LONG)
    assert "1 job is overdue and no worker is alive" in only(server).text


def test_U20_runs_while_no_worker_is_alive(fleet: Fleet) -> None:
    """A web process whose worker is dead notices it by the calls that wait."""
    server = fleet.scheduler()
    server.enqueue("work")
    assert server.health().problems == []
    fleet.clock.advance(30)
    assert only(server).text == "1 run waits in the queue 'default', and no worker is alive"
    fleet.executor()
    assert server.health().problems == []


def test_U20_a_queue_that_no_worker_serves(fleet: Fleet) -> None:
    """The nearest name is suggested, because the name may be misspelt."""
    worker = fleet.scheduler(queues={"default": 10, "email": 2})
    worker.enqueue("work", queue="emial")
    worker.tick()
    assert worker.health().problems == []
    fleet.clock.advance(30)
    worker.tick()
    problem = only(worker)
    assert problem.text == "1 run waits in the queue 'emial', which the only worker does not serve"
    assert problem.advice is not None
    assert "did you mean 'email'?" in problem.advice
    worker.pause_queue("emial", reason="on purpose")
    assert worker.health().problems == []


def test_U20_a_scheduler_that_was_switched_off(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """The switch outlives a restart, and the restarted process says so at once."""
    fleet.scheduler().stop_all(reason="moving house", actor="ana")
    worker = fleet.scheduler()
    with caplog.at_level(logging.WARNING):
        worker.tick()
    problem = only(worker)
    assert "is switched off since" in problem.text
    assert "by ana (moving house)" in problem.text
    assert "start_all()" in (problem.advice or "")
    assert any("is switched off since" in message for message in caplog.messages)
    worker.start_all()
    assert worker.health().problems == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"misfire_grace": 0}, "misfire_grace=0 misses every time"),
        (
            {"start": datetime(2031, 1, 1, tzinfo=UTC), "end": datetime(2030, 1, 1, tzinfo=UTC)},
            "start=2031-01-01T00:00:00+00:00 is after end=2030-01-01T00:00:00+00:00",
        ),
    ],
    ids=["grace", "start after end"],
)
def test_U20_options_that_keep_a_job_from_running(
    fleet: Fleet, caplog: pytest.LogCaptureFixture, options: dict[str, Any], reason: str
) -> None:
    """They are reported where the job is declared, and as long as it is."""
    worker = fleet.scheduler()
    worker.job(every(minutes=1), id="futile", **options)(nothing)
    assert any("'futile' never runs" in line and reason in line for line in caplog.messages)
    worker.tick()
    assert reason in only(worker).text


def nothing() -> None:
    """A task."""


def test_U20_a_worker_that_knows_no_task(
    small_fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """The module with the scheduler imports none of the modules with the jobs."""
    worker = Scheduler(small_fleet.url, clock=small_fleet.clock)
    small_fleet.made.append(worker)
    worker.tick()
    problem = only(worker)
    assert "this worker knows no task" in problem.text
    assert "import the modules that declare the jobs" in (problem.advice or "")
    assert any("this worker knows no task" in message for message in caplog.messages)


def test_U20_two_applications_that_declare_one_job_id(fleet: Fleet) -> None:
    """Each start of one overwrites the definition of the other."""
    first, second = fleet.scheduler(name="shop"), fleet.scheduler(name="crm")
    first.job(every(minutes=1), id="report")(work)
    second.job(every(minutes=2), id="report")(nothing)
    first.tick()
    assert first.health().problems == []
    second.tick()
    assert "report (by 'crm' and by 'shop')" in only(first).text
    first.stop()
    assert second.health().problems == [], "an application that is gone rivals nobody"


def test_U20_a_pooler_that_was_not_announced(
    prepared_postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgBouncer answers a new connection with a process number of its own."""
    fleet = Fleet(prepared_postgresql_url)
    worker = fleet.scheduler()
    worker.tick()
    assert worker.health().problems == []
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 1)
    assert "pooler=True" in (only(worker).advice or "")
    announced = fleet.scheduler(pooler=True)
    assert announced.health().problems == []
    fleet.close()


def test_U20_the_dashboard_and_the_api_show_it(prepared_sqlite_url: str) -> None:
    """At the top of the overview, and in the health and the status of the API."""
    site = Site(prepared_sqlite_url)
    site.scheduler.tick()
    site.scheduler.task(name="work")(work)
    site.scheduler.enqueue("work", queue="emial")
    site.clock.advance(30)
    site.scheduler.tick()
    client = site.client("viewer")
    assert "1 run waits in the queue" in client.page("/")
    assert "duly worker APP --queues emial" in client.page("/")
    for path in ("/health/details", "/status"):
        (problem,) = client.api(path)["problems"]
        assert (problem["check"], problem["level"]) == ("queues", "problem")
    site.scheduler.stop_all(reason="moving house")
    assert "The scheduler is switched off." in client.page("/")
    assert "switched off since" in client.api("/health/details")["detail"]
    site.scheduler.stop(grace=0)


def test_U20_looking_for_problems_is_cheap(prepared_sqlite_url: str) -> None:
    """Queues are found by looks into the index, however many runs are ready."""
    fleet = Fleet(prepared_sqlite_url)
    worker = fleet.scheduler()
    worker.tick()
    with worker.store.read() as conn:
        plan = conn.execute(
            text(
                "explain query plan select min(queue) from duly_run"
                " where state = 'ready' and queue > 'a'"
            )
        ).all()
    assert "SEARCH duly_run USING INDEX duly_run_ready (queue>?)" in str(plan)
    fleet.close()
