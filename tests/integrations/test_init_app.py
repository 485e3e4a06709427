"""``init_app`` connects a scheduler to a FastAPI or Starlette application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from duly import JobRecord, Run, Scheduler, every
from duly.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    JobNotFound,
    NotFound,
    OverlapError,
    UnknownTask,
)
from duly.integrations import starlette
from duly.integrations.fastapi import SchedulerDep, init_app
from duly.web import Principal


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Scheduler:
    return Scheduler(prepared_sqlite_url, heartbeat="fast")


def nothing() -> None:
    """Has no parameters."""


def admin(_request: Request) -> Principal:
    return Principal("ana", "admin")


def test_the_scheduler_lives_inside_the_lifespan_of_the_application(scheduler: Scheduler) -> None:
    """What the lifespan opens is open while the scheduler runs, and its state reaches requests."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        app.state.pool = "pool"
        seen.append(scheduler.state)
        yield {"shared": "state"}
        seen.append(scheduler.state)

    app = FastAPI(lifespan=lifespan)
    init_app(app, scheduler)

    @app.get("/")
    def shared(request: Request) -> str:
        return str(request.state.shared)

    @scheduler.task()
    async def use(run: Run) -> str:
        return str(run.app.state.pool)

    @scheduler.task()
    def use_in_thread(run: Run) -> str:
        return str(run.app.state.pool)

    with TestClient(app) as client:
        assert scheduler.state in ("starting", "running")
        assert client.get("/").json() == "state"
        for task in (use, use_in_thread):
            scheduler.add(task, every(hours=1), id=task.name)
            run = scheduler.run_now(task.name, wait=20)
            assert (run.state, run.result) == ("succeeded", "pool")
    assert seen == ["stopped", "stopped"]


@pytest.mark.filterwarnings("ignore:.*on_event is deprecated.*:DeprecationWarning")
def test_startup_handlers_still_run(scheduler: Scheduler) -> None:
    """An application with ``on_event`` handlers keeps them."""
    app = FastAPI()
    seen: list[str] = []
    app.router.add_event_handler("startup", lambda: seen.append("up"))
    init_app(app, scheduler)
    with TestClient(app):
        assert scheduler.state in ("starting", "running")
    assert seen == ["up"]


def test_a_test_client_that_is_not_entered_starts_nothing(scheduler: Scheduler) -> None:
    """Endpoints reach the scheduler from a factory and from a router of another module."""
    router = APIRouter()

    @scheduler.task()
    def send(order: int) -> None: ...

    @router.post("/orders/{order}")
    async def place(order: int, found: SchedulerDep) -> str:
        return await found.aio.enqueue("send", order=order)

    def create_app() -> FastAPI:
        app = FastAPI()
        app.include_router(router)
        init_app(app, scheduler)
        return app

    for _ in range(2):
        run_id = TestClient(create_app()).post("/orders/7").json()
        assert scheduler.run(run_id).args == {"order": 7}
    assert scheduler.state == "stopped"
    assert scheduler.workers() == []


def test_one_scheduler_serves_one_application_after_another(scheduler: Scheduler) -> None:
    """Runs reach the application that lives now, as tests with a factory need it."""

    @scheduler.job(every(hours=1), id="who")
    def who(run: Run) -> str:
        return str(run.app.title)

    for title in ("first", "second"):
        app = FastAPI(title=title)
        init_app(app, scheduler)
        with TestClient(app):
            assert scheduler.run_now("who", wait=20).result == title


def test_an_application_that_only_enqueues_starts_nothing(scheduler: Scheduler) -> None:
    """With ``start=False`` other processes do the work."""
    app = FastAPI()
    init_app(app, scheduler, start=False)
    with TestClient(app):
        assert scheduler.state == "stopped"
    assert scheduler.workers() == []


def test_an_application_that_only_enqueues_has_tables(sqlite_url: str) -> None:
    """The first request may lock an SQLite file, so the tables are created before it."""
    scheduler, app = Scheduler(sqlite_url), FastAPI()
    scheduler.job(every(hours=1), id="hourly")(nothing)
    init_app(app, scheduler, start=False)
    with TestClient(app):
        assert scheduler.store.database_id is not None
        assert [job.id for job in scheduler.jobs()] == ["hourly"]


@pytest.mark.parametrize("start", ["retry", "required"])
def test_an_application_that_only_enqueues_without_a_database(start: Any, tmp_path: Path) -> None:
    """It serves all the same, unless the scheduler was created with ``start="required"``."""
    scheduler, app = Scheduler(f"sqlite:///{tmp_path}/nowhere/app.db", start=start), FastAPI()
    init_app(app, scheduler, start=False)
    with (
        pytest.raises(DatabaseUnavailable) if start == "required" else nullcontext(),
        TestClient(app) as client,
    ):
        assert client.get("/").status_code == 404


def test_the_dashboard_is_not_hidden_by_a_route_that_matches_everything(
    scheduler: Scheduler,
) -> None:
    """``web=`` mounts the dashboard and the REST API, wherever `init_app` is called."""
    app = FastAPI()

    @app.get("/{path:path}")
    def page(path: str) -> str:
        return path

    init_app(app, scheduler, web="/duly/", access=admin)
    client = TestClient(app)
    assert client.get("/duly/api/v1/jobs").json() == {"items": [], "next": None}
    assert "<title>" in client.get("/duly/").text
    assert client.get("/shop").json() == "shop"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (JobNotFound("x"), 404),
        (OverlapError("it runs"), 409),
        (DatabaseUnavailable("it is away"), 503),
    ],
)
def test_errors_that_requests_cause_become_responses(
    scheduler: Scheduler, error: Exception, status: int
) -> None:
    """The response has the status and the message, as problem details."""
    app = FastAPI()
    init_app(app, scheduler)

    @app.get("/")
    def fail() -> None:
        raise error

    answer = TestClient(app).get("/")
    assert (answer.status_code, answer.json()["detail"]) == (status, str(error))
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in answer.headers) is (status == 503)


def test_values_that_cannot_be_stored_are_the_senders_fault(scheduler: Scheduler) -> None:
    """Wrong arguments get 422; the message names the argument."""
    app = FastAPI()
    init_app(app, scheduler)

    @scheduler.task()
    def send(order: int) -> None: ...

    @app.post("/")
    def enqueue(order: str) -> str:
        return scheduler.enqueue("send", order=order)

    answer = TestClient(app).post("/?order=seven")
    assert answer.status_code == 422
    assert "order" in answer.json()["detail"]


@pytest.mark.parametrize("error", [UnknownTask("sned"), ConfigurationError("queue=7")])
def test_mistakes_in_the_application_stay_errors(scheduler: Scheduler, error: Exception) -> None:
    """They are not answered as the sender's fault, so that the server logs them."""
    app = FastAPI()
    init_app(app, scheduler)

    @app.get("/")
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        TestClient(app).get("/")


def test_a_handler_of_the_application_takes_precedence(scheduler: Scheduler) -> None:
    """Set before or after `init_app`."""
    app = FastAPI()
    app.add_exception_handler(NotFound, lambda _request, _error: JSONResponse("mine", 410))
    init_app(app, scheduler)

    @app.get("/")
    def fail() -> None:
        raise JobNotFound("x")

    assert TestClient(app).get("/").status_code == 410
    app = FastAPI()
    init_app(app, scheduler)
    app.add_exception_handler(NotFound, lambda _request, _error: JSONResponse("mine", 410))
    app.get("/")(fail)
    assert TestClient(app).get("/").status_code == 410


def test_a_web_socket_gets_the_error_itself(scheduler: Scheduler) -> None:
    """It has no HTTP status to respond with."""
    app = FastAPI()
    init_app(app, scheduler)

    @app.websocket("/")
    async def fail(socket: WebSocket) -> None:
        await socket.accept()
        raise JobNotFound("x")

    with (
        pytest.raises(JobNotFound),
        TestClient(app).websocket_connect("/") as socket,
    ):
        socket.receive_json()


def test_a_plain_starlette_application_is_connected_in_the_same_way(scheduler: Scheduler) -> None:
    """`duly.integrations.starlette` needs no FastAPI."""

    async def place(request: Request) -> JSONResponse:
        found = starlette.get_scheduler(request)
        return JSONResponse([(await found.aio.job("no such job")).id])

    app = Starlette(routes=[Route("/", place), Mount("/", Starlette())])
    starlette.init_app(app, scheduler, web="/duly", access=admin)
    with TestClient(app) as client:
        assert scheduler.state in ("starting", "running")
        assert client.get("/").status_code == 404
        assert client.get("/duly/api/v1/workers").status_code == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"web": "/duly"}, "access="),
        ({"access": admin}, "web="),
        ({"web": "duly", "access": admin}, "web="),
        ({"web": "/", "access": admin}, "web="),
        ({"web": "/duly", "access": "everyone"}, "access="),
    ],
)
def test_what_cannot_be_connected_is_refused(
    scheduler: Scheduler, options: dict[str, Any], words: str
) -> None:
    """The error says what to write; the application is left as it was."""
    app = FastAPI()
    with pytest.raises(ConfigurationError, match=words):
        init_app(app, scheduler, **options)
    init_app(app, scheduler)
    with pytest.raises(ConfigurationError, match="already has a scheduler"):
        init_app(app, scheduler)
    with pytest.raises(ConfigurationError, match="FastAPI or Starlette"):
        init_app(scheduler, app)  # type: ignore[arg-type]


def test_without_an_application_runs_are_told_how_to_get_one(scheduler: Scheduler) -> None:
    """``run.app`` explains itself in a process without a web application."""

    @scheduler.job(every(hours=1), id="who")
    def who(run: Run) -> str:
        return str(run.app.title)

    scheduler.prepare()
    run = scheduler.run_now("who")
    scheduler.tick()
    done = scheduler.run(run.id)
    scheduler.stop()
    assert done.error_type == "LifecycleError"
    assert "init_app" in (done.error_message or "")


def show(job: JobRecord) -> str:
    return job.id
