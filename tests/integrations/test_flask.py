"""What `init_app` gives to a Flask application: context, sessions, the dashboard, clear errors."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g, session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import column, insert, make_url, select, table

from duly import Run, Scheduler, every, prepare_engine
from duly.errors import (
    ArgumentsError,
    ConfigurationError,
    DatabaseUnavailable,
    DatabaseURLError,
    JobNotFound,
    LifecycleError,
    NotFound,
    OverlapError,
    UnknownTask,
)
from duly.integrations.flask import get_scheduler, init_app
from duly.integrations.wsgi import WSGILifespan
from duly.web import Principal, local_key
from tests.support.waiting import wait_until

orders = table("placed", column("number"))
ANA = Principal(name="ana", role="operator")


@pytest.fixture
def app() -> Flask:
    made = Flask("shop")
    made.secret_key = "of a test"
    return made


@pytest.fixture
def scheduler(database_url: str) -> Iterator[Scheduler]:
    made = Scheduler(database_url, heartbeat="fast", grace=5)
    yield made
    made.stop()


@pytest.fixture
def on_file(sqlite_url: str) -> Iterator[Scheduler]:
    """A scheduler on SQLite, for tests that do not depend on the database."""
    made = Scheduler(sqlite_url, heartbeat="fast", grace=5)
    yield made
    made.stop()


@pytest.fixture
def db(app: Flask, scheduler: Scheduler) -> Iterator[SQLAlchemy]:
    """Flask-SQLAlchemy on the scheduler's own database, with one table."""
    app.config["SQLALCHEMY_DATABASE_URI"] = scheduler.store.url.render_as_string(False)
    made = SQLAlchemy(app)
    with app.app_context():
        prepare_engine(made.engine)
        with made.engine.begin() as conn:
            conn.exec_driver_sql("create table placed (number integer)")
    yield made
    with app.app_context():
        made.engine.dispose()


def result_of(scheduler: Scheduler, run_id: str) -> Any:
    """Wait until a run has finished, check that it succeeded, and return its result."""
    run = ended(scheduler, run_id)
    assert run.state == "succeeded", (run.error_type, run.error_message)
    return run.result


def ended(scheduler: Scheduler, run_id: str) -> Any:
    wait_until(lambda: scheduler.run(run_id).is_terminal, what="the end of the run")
    return scheduler.run(run_id)


# --------------------------------------------------------------------------------- context


def test_every_run_has_a_context_of_its_own(app: Flask, on_file: Scheduler) -> None:
    """Plain functions run in threads, inside the application's context; ``g`` is not shared."""
    init_app(app, on_file)

    @on_file.task()
    def look() -> list[Any]:
        seen = g.get("seen", 0)
        g.seen = seen + 1
        own = threading.current_thread() is not threading.main_thread()
        return [current_app.name, seen, own, get_scheduler() is on_file]

    with on_file.running():
        for _ in range(3):
            assert result_of(on_file, look.enqueue()) == ["shop", 0, True, True]


def test_coroutine_jobs_run_on_a_loop_beside_the_application(
    app: Flask, on_file: Scheduler
) -> None:
    """Two coroutines that wait for each other finish, so they share a loop; both have a context."""
    init_app(app, on_file)
    met = asyncio.Barrier(2)

    @on_file.task()
    async def meet() -> list[Any]:
        async with asyncio.timeout(10):
            await met.wait()
        return [current_app.name, threading.current_thread().name]

    with on_file.running():
        runs = [meet.enqueue(), meet.enqueue()]
        assert [result_of(on_file, run) for run in runs] == [["shop", "duly-loop"]] * 2


def test_a_context_ends_with_its_run_and_receives_its_error(app: Flask, on_file: Scheduler) -> None:
    """Teardown functions of the context are called once for each run."""
    heard: list[str | None] = []
    app.teardown_appcontext(lambda error: heard.append(error and str(error)))
    init_app(app, on_file)

    @on_file.task()
    def work(fail: bool) -> None:
        if fail:
            raise ValueError("no")

    with on_file.running():
        assert ended(on_file, work.enqueue(fail=False)).state == "succeeded"
        assert ended(on_file, work.enqueue(fail=True)).state == "failed"
    assert heard == [None, "no"]


# ------------------------------------------------------------------------- Flask-SQLAlchemy


def test_a_call_joins_the_transaction_of_a_request(
    app: Flask, scheduler: Scheduler, db: SQLAlchemy
) -> None:
    """With ``session=db.session`` a call exists if and only if the request commits."""
    init_app(app, scheduler)

    @scheduler.task()
    def receipt(order: int) -> int:
        return order

    @app.post("/<int:number>/<how>")
    def place(number: int, how: str) -> str:
        db.session.execute(insert(orders).values(number=number))
        run_id = receipt.enqueue(order=number, session=db.session)
        getattr(db.session, how)()
        return run_id

    client = app.test_client()
    with scheduler.running():
        kept = client.post("/7/commit").text
        client.post("/8/rollback")
        assert result_of(scheduler, kept) == 7
        assert [run.args for run in scheduler.runs(task="receipt")] == [{"order": 7}]
    with app.app_context():
        assert db.session.execute(select(orders)).all() == [(7,)]


def test_a_run_has_a_session_that_is_removed_after_it(
    app: Flask, scheduler: Scheduler, db: SQLAlchemy
) -> None:
    """Uncommitted changes of a run are rolled back, and its connection returns to the pool."""
    init_app(app, scheduler)

    @scheduler.task()
    def place(number: int, commit: bool) -> int:
        db.session.execute(insert(orders).values(number=number))
        if commit:
            db.session.commit()
        return id(db.session())

    with scheduler.running():
        result_of(scheduler, place.enqueue(number=1, commit=True))
        result_of(scheduler, place.enqueue(number=2, commit=False))
    with app.app_context():
        assert db.session.execute(select(orders)).all() == [(1,)]
        db.session.remove()
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert db.session.registry.registry == {}


# -------------------------------------------------------------------------------- dashboard


def test_access_is_called_in_a_request_context(app: Flask, on_file: Scheduler) -> None:
    """``access`` may read ``flask.session``, so users of the application are signed in."""
    asked: list[str] = []

    def access(request: Any) -> Principal | None:
        asked.append(current_app.name)
        return Principal(session["name"], "viewer") if "name" in session else None

    @app.get("/sign-in/<name>")
    def sign_in(name: str) -> str:
        session["name"] = name
        return name

    init_app(app, on_file, web="/duly", access=access)
    client = app.test_client()
    assert client.get("/duly/api/v1/jobs").status_code == 401
    client.get("/sign-in/ana")
    answer = client.get("/duly/api/v1/jobs")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert asked == ["shop", "shop"]
    assert client.get("/sign-in/bo").text == "bo", "the application itself still answers"


def test_changes_in_the_dashboard_record_the_user(app: Flask, on_file: Scheduler) -> None:
    """An async ``access`` works, too, and the API receives the whole body."""

    async def access(request: Any) -> Principal:
        await asyncio.sleep(0)
        return Principal(current_app.name, "operator")

    @on_file.job(every(hours=1), id="tidy")
    def tidy() -> None: ...

    init_app(app, on_file, web="/duly/", access=access)
    on_file.prepare()
    answer = app.test_client().post(
        "/duly/api/v1/jobs/tidy/pause",
        json={"reason": "a" * 200},
        headers={"Authorization": "Bearer x"},
    )
    assert answer.status_code == 200, answer.text
    job = on_file.job("tidy")
    assert (job.state, job.paused_by, job.paused_reason) == ("paused", "shop", "a" * 200)


def test_the_pages_are_under_their_path(app: Flask, on_file: Scheduler) -> None:
    """Links start with the path of the mount, including that of the outer application."""
    init_app(app, on_file, web="/admin/duly", access=lambda _request: ANA)
    page = app.test_client().get("/admin/duly/", base_url="http://localhost/site")
    assert page.status_code == 200
    assert 'href="/site/admin/duly/' in page.text
    assert app.test_client().get("/admin/duly", follow_redirects=True).status_code == 200
    assert "http://localhost/duly" not in page.text


def test_a_local_key_opens_the_dashboard(app: Flask, on_file: Scheduler) -> None:
    """`local_key` signs users in inside a Flask application."""
    key = local_key(key="a-key-of-a-test-which-is-long")
    init_app(app, on_file, web="/duly", access=key)
    client = app.test_client()
    assert client.get("/duly/").status_code == 401
    assert client.get(f"/duly/?key={key.key}").status_code == 303
    assert client.get("/duly/").status_code == 200


# ---------------------------------------------------------------------- start, or do not start


@pytest.fixture
def starts(on_file: Scheduler, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that called ``start``, which is replaced by a stub."""
    noted: list[str] = []
    monkeypatch.setattr(on_file, "start", lambda: noted.append(threading.current_thread().name))
    return noted


def begun() -> None:
    """Wait until the background threads have finished."""
    for thread in threading.enumerate():
        if thread.name == "duly-start":
            thread.join(10)


def test_a_test_client_starts_nothing(app: Flask, on_file: Scheduler, starts: list[str]) -> None:
    """A request of a test client does not start the scheduler."""
    init_app(app, on_file)
    app.test_client().get("/")
    begun()
    assert starts == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (JobNotFound("x"), 404),
        (OverlapError("it runs"), 409),
        (ArgumentsError("one too many"), 422),
        (DatabaseUnavailable("it is away"), 503),
    ],
)
def test_errors_that_requests_cause_become_responses(
    app: Flask, on_file: Scheduler, error: Exception, status: int
) -> None:
    """The response has the status and the message, as problem details."""
    init_app(app, on_file, start=False)

    @app.get("/")
    def fail() -> str:
        raise error

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.get_json()["detail"]) == (status, str(error))
    assert answer.mimetype == "application/problem+json"
    assert ("Retry-After" in answer.headers) is (status == 503)


def test_mistakes_in_the_application_stay_errors(app: Flask, on_file: Scheduler) -> None:
    """They are not answered as the sender's fault, so that the server logs them."""
    app.testing = True
    init_app(app, on_file, start=False)

    @app.get("/")
    def fail() -> str:
        raise UnknownTask("sned")

    with pytest.raises(UnknownTask):
        app.test_client().get("/")


@pytest.mark.parametrize("before", [True, False])
def test_a_handler_of_the_application_takes_precedence(
    app: Flask, on_file: Scheduler, *, before: bool
) -> None:
    """Set before or after `init_app`."""
    handler = (NotFound, lambda _error: ("mine", 410))
    if before:
        app.register_error_handler(*handler)
    init_app(app, on_file, start=False)
    if not before:
        app.register_error_handler(*handler)

    @app.get("/")
    def fail() -> str:
        raise JobNotFound("x")

    assert app.test_client().get("/").status_code == 410


def test_start_true_starts_at_once(app: Flask, on_file: Scheduler) -> None:
    """``start=True`` starts the scheduler at once, in any process."""
    init_app(app, on_file, start=True)
    assert on_file.state in ("starting", "running")
    begun()


def test_start_false_never_starts(app: Flask, on_file: Scheduler, starts: list[str]) -> None:
    """``start=False`` leaves the start to the caller, even behind a server."""
    init_app(app, on_file, start=False)
    app.test_client().get("/", environ_base={"SERVER_SOFTWARE": "any/1"})
    begun()
    assert starts == []


def test_start_false_creates_the_tables_at_the_first_request(
    app: Flask, on_file: Scheduler, tmp_path: Path
) -> None:
    """A request's own transaction may lock an SQLite file, so that it could not create them."""
    init_app(app, on_file, start=False)
    app.test_client().get("/")
    assert on_file.store.database_id is None
    app.test_client().get("/", environ_base={"SERVER_SOFTWARE": "any/1"})
    assert on_file.store.database_id is not None
    absent, other = Scheduler(f"sqlite:///{tmp_path}/nowhere/app.db"), Flask("other")
    init_app(other, absent, start=False)
    response = other.test_client().get("/", environ_base={"SERVER_SOFTWARE": "any/1"})
    assert response.status_code == 404


def test_the_first_request_starts_the_scheduler_without_waiting(
    app: Flask, on_file: Scheduler, starts: list[str]
) -> None:
    """The first request from a server starts the scheduler in the background."""
    init_app(app, on_file)
    for _ in range(3):
        app.test_client().get("/", environ_base={"SERVER_SOFTWARE": "any/1"})
    begun()
    assert starts == ["duly-start"]


def test_the_scheduler_is_started_once(on_file: Scheduler, starts: list[str]) -> None:
    """Several signs that a process serves lead to a single start."""
    serving = WSGILifespan(on_file)
    serving.begin()
    serving.begin()
    begun()
    assert starts == ["duly-start"]


# ------------------------------------------------------------------------------------ errors


def test_web_and_access_require_each_other(app: Flask, on_file: Scheduler) -> None:
    """``web`` without ``access`` is refused, and so is ``access`` without ``web``."""
    with pytest.raises(ConfigurationError, match=r"web='/duly' requires access="):
        init_app(app, on_file, web="/duly")
    with pytest.raises(ConfigurationError, match=r"access= is for the dashboard"):
        init_app(app, on_file, access=lambda _request: ANA)
    with pytest.raises(ConfigurationError, match=r"give the path"):
        init_app(app, on_file, web="/", access=lambda _request: ANA)
    with pytest.raises(ConfigurationError, match=r"access='ana'"):
        init_app(app, on_file, web="/duly", access="ana")  # type: ignore[arg-type]
    assert "duly" not in app.extensions
    init_app(app, on_file)


def test_one_application_has_one_scheduler(app: Flask, on_file: Scheduler) -> None:
    """A second `init_app` for an application is refused."""
    init_app(app, on_file)
    with pytest.raises(ConfigurationError, match=r"'shop' already has a scheduler"):
        init_app(app, on_file)


def test_arguments_in_the_wrong_order_are_named(app: Flask, on_file: Scheduler) -> None:
    """The error names the types of the arguments."""
    with pytest.raises(ConfigurationError, match=r"init_app\(Scheduler, Flask\)"):
        init_app(on_file, app)  # type: ignore[arg-type]


def test_an_application_without_a_scheduler_raises_an_error(app: Flask) -> None:
    """The error of `get_scheduler` names `init_app`."""
    with app.app_context(), pytest.raises(ConfigurationError, match=r"call init_app"):
        get_scheduler()


# --------------------------------------------------------------------------------- factories


def test_a_newer_application_takes_over_the_scheduler(on_file: Scheduler) -> None:
    """With an application factory, runs use the context of the newest application."""

    @on_file.task()
    def name() -> str:
        return current_app.name

    for wanted in ("first", "second"):
        init_app(Flask(wanted), on_file)
        with on_file.running():
            assert result_of(on_file, name.enqueue()) == wanted


def test_the_application_s_configuration_may_name_the_database(
    tmp_path: Path, prepared_database_url: str
) -> None:
    """A scheduler without a URL uses the database of the newest application."""
    scheduler = Scheduler(grace=5)

    @scheduler.job(every(hours=1), id="tidy")
    def tidy() -> str:
        return current_app.name

    for name, url in (
        ("first", f"sqlite:///{tmp_path}/first.db"),
        ("second", prepared_database_url),
    ):
        app = Flask(name)
        app.config["DULY_URL"] = url
        init_app(app, scheduler)
        assert app.test_client().get("/").status_code == 404
        with scheduler.running():
            assert scheduler.job("tidy").last_run is None
            assert result_of(scheduler, scheduler.run_now("tidy").id) == name
    assert scheduler.store.url.database == make_url(prepared_database_url).database


def test_the_schedulers_own_url_takes_precedence(app: Flask, on_file: Scheduler) -> None:
    """The configuration applies only to schedulers that were created without a URL."""
    app.config["DULY_URL"] = "sqlite:///other.db"
    before = on_file.store
    init_app(app, on_file)
    assert on_file.store is before


def test_without_any_url_the_error_says_where_to_set_it(app: Flask) -> None:
    """After the error nothing is connected, so a later call with a configuration works."""
    scheduler = Scheduler()
    with pytest.raises(DatabaseURLError, match=r"app.config\['DULY_URL'\] is not set; load"):
        init_app(app, scheduler)
    app.config["DULY_URL"] = "app.db"
    with pytest.raises(DatabaseURLError, match=r"'app.db' is not a valid database URL"):
        init_app(app, scheduler)
    assert "duly" not in app.extensions
    app.config["DULY_URL"] = "sqlite:///app.db"
    init_app(app, scheduler)
    assert get_scheduler_of(app) is scheduler


def get_scheduler_of(app: Flask) -> Scheduler:
    with app.app_context():
        return get_scheduler()


def test_a_running_scheduler_is_not_taken_over(app: Flask, on_file: Scheduler) -> None:
    """Connecting a running scheduler to another application is refused."""
    init_app(app, on_file)
    with on_file.running(), pytest.raises(LifecycleError, match=r"for the application 'shop'"):
        init_app(Flask("other"), on_file)


def test_unused_applications_and_schedulers_are_freed(tmp_path: Path) -> None:
    """Applications and schedulers without references are garbage collected."""
    scheduler = Scheduler(f"sqlite:///{tmp_path / 'x.db'}")
    app = Flask("short")
    init_app(app, scheduler, web="/duly", access=lambda _request: ANA)
    gone = weakref.ref(app), weakref.ref(scheduler)
    del app, scheduler
    gc.collect()
    assert [held() for held in gone] == [None, None]


def test_the_current_run_is_available_in_the_context(app: Flask, on_file: Scheduler) -> None:
    """A function inside the application context can access its run."""
    init_app(app, on_file)

    @on_file.task()
    def who(run: Run) -> str:
        return f"{current_app.name} {run.task} {run.attempt}"

    with on_file.running():
        assert result_of(on_file, who.enqueue()) == "shop who 1"
