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
def test_a_stop_waits_for_running_functions(host: Host, task: str) -> None:
    """A run that finishes within the grace period after SIGTERM succeeds; its worker signs off."""
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
def test_a_run_that_outlasts_the_grace_period_is_given_back(host: Host, task: str) -> None:
    """Giving a run back consumes no attempt: the next process executes it as the first."""
    server = host.uvicorn(grace=0.2)
    run_id = ask(f"{server.url}/tasks/{task}", method="POST")
    host.hear("entered")
    server.terminate()
    run = host.scheduler.run(run_id)
    assert run.state in ("ready", "scheduled")  # scheduled while its function was executing
    assert (run.attempt, run.crashes) == (0, 0)
    if task == "hold":  # a thread keeps the worker, and uvicorn ends by the signal
        assert host.scheduler.workers() == []
    assert host.scheduler.attempts(run_id) == []
    host.say("leave")
    host.uvicorn()
    run = host.ended(run_id)
    assert (run.state, run.attempt, run.result) == ("succeeded", 1, "finished")


def test_two_workers_run_each_time_once(host: Host) -> None:
    """With ``--workers 2`` each nominal time runs exactly once, and both processes execute runs."""
    host.uvicorn("--workers", "2", beat=BEAT)
    pids = host.workers(2)
    wait_until(lambda: len(host.column("select pid from effect")) >= 20)
    wait_until(lambda: set(host.column("select pid from effect")) == pids)
    effects = host.column("select nominal from effect")
    assert len(effects) == len(set(effects))
    assert_decided_once(host, "beat", BEAT)


def test_the_reloader_starts_no_scheduler(sqlite_host: Host) -> None:
    """Under ``--reload`` the parent process, which serves nothing, does not start the scheduler."""
    server = sqlite_host.uvicorn("--reload")
    assert sqlite_host.workers(1) == {ask(f"{server.url}/where")["pid"]}
    assert server.pid not in sqlite_host.workers(1)


def test_server_restarts_leave_one_job_and_do_not_postpone_it(
    sqlite_host: Host,
) -> None:
    """A daily job fires on time although its process is restarted all day."""
    seen: list[JobRecord] = []
    for _ in range(10):
        server = sqlite_host.uvicorn(beat=3600)
        seen += sqlite_host.scheduler.jobs()
        server.terminate()
    assert_one_and_the_same(seen)


def test_restarts_leave_one_job_and_do_not_postpone_it(database_url: str) -> None:
    """On each database, entering the lifespan again neither duplicates nor postpones a job."""
    seen: list[JobRecord] = []

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


def test_an_unreachable_database_does_not_stop_the_host(sqlite_host: Host, tmp_path) -> None:
    """The application serves, reports the problem, and works once the database responds."""
    sqlite_host.url = f"sqlite:///{tmp_path}/later/app.db"
    server = sqlite_host.uvicorn()
    told = ask(server.url)
    assert (told["ok"], told["database"]) == (False, "unreachable")
    (tmp_path / "later").mkdir()
    wait_until(lambda: ask(server.url)["ok"], what="a healthy scheduler")


def test_a_required_database_that_is_unreachable_stops_the_host(
    sqlite_host: Host, tmp_path
) -> None:
    """``start="required"`` ends the server with an error before it serves."""
    sqlite_host.url = f"sqlite:///{tmp_path}/nowhere/app.db"
    app = f"{HOSTS}.fastapi_host:app"
    child = sqlite_host.python("-m", "uvicorn", app, "--port", "0", required=True)
    assert child.wait() != 0
    assert "DatabaseUnavailable" in child.output()


def test_awaited_calls_do_not_block_the_event_loop(sqlite_url: str) -> None:
    """While a call waits for a locked database, the event loop runs and releases the lock."""

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
        lambda: scheduler.aio.pause_queue("default"),
        scheduler.aio.tick,
    ]


def test_the_dependency_returns_the_scheduler_of_the_application(sqlite_url: str) -> None:
    """HTTP and WebSocket endpoints receive the scheduler through an annotated parameter."""
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


def test_an_application_without_a_scheduler_raises_an_error() -> None:
    """The error explains how to give the application a scheduler."""
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
