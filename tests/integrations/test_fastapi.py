"""The scheduler inside a FastAPI application behind a real uvicorn."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from duly import JobRecord, Scheduler, every
from duly.errors import ConfigurationError
from duly.integrations.fastapi import SchedulerDep
from tests.integrations.conftest import HOSTS, Host, ask, assert_decided_once
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
BEAT = 0.25


def test_coroutine_jobs_run_on_the_loop_of_the_requests(host: Host) -> None:
    """A coroutine job runs on the host's own loop, where the host's asyncio engine works."""
    server = host.uvicorn()
    ask(f"{server.url}/orders/7", method="POST")
    requests = ask(f"{server.url}/where")
    run = host.ended(ask(f"{server.url}/tasks/where", method="POST"))
    assert run.result == {**requests, "orders": 1}


def test_a_call_joins_the_transaction_of_a_request(host: Host) -> None:
    """With an `AsyncSession` a call exists if and only if the request commits."""
    server = host.uvicorn()
    kept = ask(f"{server.url}/orders/7", method="POST")
    ask(f"{server.url}/orders/8?commit=false", method="POST")
    assert host.ended(kept).result == 7
    assert [run.args for run in host.scheduler.runs(task="receipt")] == [{"order": 7}]
    assert host.column("select number from placed") == [7]


@pytest.mark.parametrize("task", ["hold", "hold_thread"])
def test_a_stop_waits_for_what_runs(host: Host, task: str) -> None:
    """A run that ends within the grace after SIGTERM succeeds, and the worker has left."""
    server = host.uvicorn()
    run_id = ask(f"{server.url}/tasks/{task}", method="POST")
    host.hear("entered")
    server.signal(15)
    wait_until(lambda: all(worker.draining for worker in host.scheduler.workers()))
    host.say("leave")
    server.wait()
    run = host.scheduler.run(run_id)
    assert (run.state, run.attempt, run.result) == ("succeeded", 1, "finished")
    assert host.scheduler.workers() == []
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("task", ["hold", "hold_thread"])
def test_what_does_not_end_within_the_grace_is_given_back(host: Host, task: str) -> None:
    """It costs no attempt: the next process runs it as its first."""
    server = host.uvicorn(grace=0.2)
    run_id = ask(f"{server.url}/tasks/{task}", method="POST")
    host.hear("entered")
    server.terminate()
    run = host.scheduler.run(run_id)
    assert (run.state, run.attempt, run.crashes, run.worker_id) == ("ready", 0, 0, None)
    assert host.scheduler.workers() == []
    assert host.scheduler.attempts(run_id) == []
    host.say("leave")
    host.uvicorn()
    run = host.ended(run_id)
    assert (run.state, run.attempt, run.result) == ("succeeded", 1, "finished")


def test_two_workers_double_nothing(host: Host) -> None:
    """With ``--workers 2`` every nominal time runs exactly once, and both take part."""
    host.uvicorn("--workers", "2", beat=BEAT)
    pids = host.workers(2)
    wait_until(lambda: len(host.column("select pid from effect")) >= 20)
    wait_until(lambda: set(host.column("select pid from effect")) == pids)
    effects = host.column("select nominal from effect")
    assert len(effects) == len(set(effects))
    assert_decided_once(host, "beat", BEAT)


def test_the_reloader_starts_no_scheduler(sqlite_host: Host) -> None:
    """Under ``--reload`` the parent, which serves nothing, takes no part."""
    server = sqlite_host.uvicorn("--reload")
    assert sqlite_host.workers(1) == {ask(f"{server.url}/where")["pid"]}
    assert server.pid not in sqlite_host.workers(1)


def test_restarts_of_a_server_leave_one_job_whose_time_is_not_pushed_back(
    sqlite_host: Host,
) -> None:
    """A process that is restarted all day still fires its daily job at the time it was due."""
    seen = []
    for _ in range(10):
        server = sqlite_host.uvicorn(beat=3600)
        seen += sqlite_host.scheduler.jobs()
        server.terminate()
    assert_one_and_the_same(seen)


def test_restarts_leave_one_job_whose_time_is_not_pushed_back(database_url: str) -> None:
    """The same on each database, through the lifespan alone."""
    seen = []

    async def live() -> None:
        scheduler = Scheduler(database_url, heartbeat="fast")
        scheduler.job(every(hours=1), id="hourly")(nothing)
        async with scheduler.lifespan():
            seen.extend(await scheduler.aio.jobs())

    for _ in range(10):
        asyncio.run(live())
    assert_one_and_the_same(seen)


def assert_one_and_the_same(seen: list[JobRecord]) -> None:
    assert len(seen) == 10
    first, last = seen[0], seen[-1]
    assert (last.uid, last.next_fire_at) == (first.uid, first.next_fire_at)
    assert (last.revision, last.fired_count) == (first.revision, 0)


def test_a_database_that_is_away_does_not_stop_the_host(sqlite_host: Host, tmp_path) -> None:
    """The application serves, says what is wrong, and works as soon as the database is there."""
    sqlite_host.url = f"sqlite:///{tmp_path}/later/app.db"
    server = sqlite_host.uvicorn()
    told = ask(server.url)
    assert (told["ok"], told["database"]) == (False, "unreachable")
    (tmp_path / "later").mkdir()
    wait_until(lambda: ask(server.url)["ok"], what="a healthy scheduler")


def test_a_database_that_is_required_stops_the_host(sqlite_host: Host, tmp_path) -> None:
    """``start="required"`` ends the server with the reason, before it serves."""
    sqlite_host.url = f"sqlite:///{tmp_path}/nowhere/app.db"
    app = f"{HOSTS}.fastapi_host:app"
    child = sqlite_host.python("-m", "uvicorn", app, "--port", "0", required=True)
    assert child.wait() != 0
    assert "DatabaseUnavailable" in child.output()


def test_waiting_calls_leave_the_loop_free(sqlite_url: str) -> None:
    """While a call waits for a locked database, the loop goes on: it is what ends the lock."""

    async def main() -> None:
        scheduler = Scheduler(sqlite_url)
        scheduler.task("nothing")(nothing)
        await scheduler.aio.prepare()
        other = create_engine(sqlite_url)
        with other.connect() as blocker:
            blocker.execute(text("BEGIN IMMEDIATE"))
            calls = [asyncio.create_task(call()) for call in calls_of(scheduler)]
            for _ in range(20):
                await asyncio.sleep(0.01)
                assert not any(call.done() for call in calls)
            blocker.rollback()
        assert len(await asyncio.gather(*calls)) == len(calls)
        other.dispose()
        await scheduler.aio.stop()

    asyncio.run(main())


def nothing() -> None: ...


def calls_of(scheduler: Scheduler) -> list[Any]:
    return [
        lambda: scheduler.aio.enqueue("nothing"),
        lambda: scheduler.aio.pause(tag="any"),
        scheduler.aio.tick,
    ]


def test_the_dependency_gives_the_scheduler_of_the_application(sqlite_url: str) -> None:
    """Endpoints need no global: HTTP and WebSocket endpoints annotate a parameter."""
    scheduler = Scheduler(sqlite_url)
    app = FastAPI(lifespan=scheduler.lifespan)

    @app.get("/")
    def name(found: SchedulerDep) -> bool:
        return found is scheduler

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, found: SchedulerDep) -> None:
        await websocket.accept()
        await websocket.send_json(found is scheduler)

    with TestClient(app) as client:
        assert client.get("/").json() is True
        with client.websocket_connect("/socket") as held:
            assert held.receive_json() is True
        assert app.state.duly is scheduler
        assert scheduler.state in ("starting", "running")
    assert scheduler.state == "stopped"


def test_an_application_without_a_scheduler_is_told_so() -> None:
    """The error says what to do."""
    app = FastAPI()

    @app.get("/")
    def name(found: SchedulerDep) -> None: ...

    with TestClient(app) as client, pytest.raises(ConfigurationError, match="lifespan"):
        client.get("/")


def test_stop_on_the_hosts_own_loop_names_the_awaitable_form(sqlite_url: str) -> None:
    """`stop` called where it would wait for itself raises instead of hanging."""

    async def main() -> None:
        scheduler = Scheduler(sqlite_url)
        async with scheduler.lifespan(object()):
            with pytest.raises(RuntimeError, match=r"await scheduler\.aio\.stop"):
                scheduler.stop()
        assert threading.active_count() >= 1

    asyncio.run(main())
