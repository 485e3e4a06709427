"""A Flask application's scheduler starts in processes that serve, and only there."""

from __future__ import annotations

import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.integrations.conftest import HOSTS, Host, ask, assert_decided_once
from tests.support.processes import Server, status
from tests.support.waiting import wait_until

APP = f"{HOSTS}.flask_host"
FLASK = ("-m", "flask", "--app", APP)
RUN = (*FLASK, "run", "--port", "0")
BEAT = 0.25
pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
needs_gunicorn = pytest.mark.skipif(find_spec("gunicorn") is None, reason="gunicorn is not here")


def gunicorn(
    host: Host, *options: str, workers: int = 2, ready: str = "", **settings: object
) -> Server:
    """A gunicorn server with sync workers."""
    where = ("-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(workers))
    return host.server(*where, *options, f"{APP}:app", ready=ready, **settings)


def children_of(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


# --------------------------------------------------------------------- where nothing serves


@pytest.mark.parametrize(
    "command",
    [
        (*FLASK, "routes"),
        (*FLASK, "tidy"),
        (*FLASK, "shell"),
        (*FLASK, "run", "--help"),
        ("-c", f"import {APP}"),
        (
            "-c",
            f"from {APP} import app; assert app.test_client().get('/health').status_code == 404",
        ),
    ],
    ids=["routes", "command", "shell", "help", "import", "test-client"],
)
def test_processes_that_do_not_serve_do_not_start_the_scheduler(
    sqlite_host: Host, command: tuple[str]
) -> None:
    """A command, a shell, a script and a test client do not even connect to the database."""
    child = sqlite_host.python(*command)
    assert child.wait() == 0, child.output()
    assert "Traceback" not in child.output()
    assert sqlite_host.untouched()


# -------------------------------------------------------------------------------- flask run


def test_flask_run_starts_without_any_request(host: Host) -> None:
    """Jobs run before the first request, inside the application context."""
    server = host.server(*RUN, beat=BEAT)
    assert host.workers(1) == {server.pid}
    wait_until(lambda: len(host.column("select pid from effect")) >= 3)
    assert {run.result for run in host.scheduler.runs(job="beat", state="succeeded")} == {"host"}
    assert_decided_once(host, "beat", BEAT)


@pytest.mark.parametrize("task", ["hold", "hold_async"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_run_that_outlasts_the_grace_period_is_given_back(
    sqlite_host: Host, task: str, number: int
) -> None:
    """SIGTERM and Ctrl-C shut ``flask run`` down; no attempt is used, the worker signs off."""
    server = sqlite_host.server(*RUN, grace=0.2, ready="/")
    run_id = ask(f"{server.url}/tasks/{task}", method="POST")
    sqlite_host.hear("entered")
    server.signal(number)
    server.wait()
    run = sqlite_host.scheduler.run(run_id)
    assert (run.state, run.attempt, run.crashes, run.worker_id) == ("ready", 0, 0, None)
    assert sqlite_host.scheduler.workers() == []


def test_a_stop_waits_for_running_functions(sqlite_host: Host) -> None:
    """A run that finishes within the grace period succeeds."""
    server = sqlite_host.server(*RUN, ready="/")
    run_id = ask(f"{server.url}/tasks/hold", method="POST")
    sqlite_host.hear("entered")
    server.signal(signal.SIGTERM)
    wait_until(lambda: all(worker.draining for worker in sqlite_host.scheduler.workers()))
    sqlite_host.say("leave")
    assert server.wait() == 128 + signal.SIGTERM
    run = sqlite_host.scheduler.run(run_id)
    assert (run.state, run.attempt, run.result) == ("succeeded", 1, "finished")


def test_a_required_database_that_is_unreachable_stops_the_host(
    sqlite_host: Host, tmp_path: Path
) -> None:
    """``start="required"`` ends ``flask run`` with an error before it serves."""
    sqlite_host.url = f"sqlite:///{tmp_path}/nowhere/app.db"
    child = sqlite_host.python(*RUN, required=True)
    assert child.wait() != 0
    assert "DatabaseUnavailable" in child.output()
    assert "Running on" not in child.output()


def test_an_unreachable_database_does_not_stop_the_host(sqlite_host: Host, tmp_path: Path) -> None:
    """The application serves, reports the problem, and works once the database responds."""
    sqlite_host.url = f"sqlite:///{tmp_path}/later/app.db"
    server = sqlite_host.server(*RUN, ready="/")
    assert not ask(server.url)["ok"]
    (tmp_path / "later").mkdir()
    wait_until(lambda: ask(server.url)["ok"], what="a healthy scheduler")


# ----------------------------------------------------------------------------- the reloader


def test_under_the_reloader_only_the_serving_process_starts_the_scheduler(
    sqlite_host: Host,
) -> None:
    """``flask run --debug`` has two processes but one worker; each due time runs once."""
    server = sqlite_host.server(*FLASK, "--debug", "run", "--port", "0", beat=BEAT)
    pids = sqlite_host.workers(1)
    assert pids == children_of(server.pid) == {ask(server.url)["pid"]}
    wait_until(lambda: len(sqlite_host.column("select pid from effect")) >= 8)
    assert set(sqlite_host.column("select pid from effect")) == pids
    assert_decided_once(sqlite_host, "beat", BEAT)


def test_a_reload_hands_over_to_the_next_process(sqlite_host: Host, tmp_path: Path) -> None:
    """After a change of the code a new process is the worker; no time has run twice."""
    page = own_copy(tmp_path)
    sqlite_host.server("-m", "flask", "--app", page, "--debug", "run", "--port", "0", beat=BEAT)
    before = sqlite_host.workers(1)
    wait_until(lambda: len(sqlite_host.column("select pid from effect")) >= 3)
    page.write_text(page.read_text() + "\n# changed\n")
    wait_until(lambda: sqlite_host.workers(1) != before)
    after = sqlite_host.workers(1)
    wait_until(lambda: after <= set(sqlite_host.column("select pid from effect")))
    assert_decided_once(sqlite_host, "beat", BEAT)
    assert {run.crashes for run in sqlite_host.scheduler.runs(limit=1000)} == {0}


def test_an_application_that_does_not_load_starts_nothing(
    sqlite_host: Host, tmp_path: Path
) -> None:
    """While the reloader serves an error page, the half-loaded application starts nothing."""
    page = own_copy(tmp_path)
    whole = page.read_text()
    server = sqlite_host.server("-m", "flask", "--app", page, "--debug", "run", "--port", "0")
    before = sqlite_host.workers(1)
    page.write_text(f"{whole}\nraise RuntimeError('a slip')\n")
    server.wait_for("RuntimeError: a slip")
    wait_until(lambda: status(server.url) == 500)
    assert sqlite_host.scheduler.workers() == []
    page.write_text(whole)
    assert sqlite_host.workers(1).isdisjoint(before)


def own_copy(folder: Path) -> Path:
    """The host application in a file that a test may edit."""
    return Path(shutil.copy(Path(__file__).parent / "hosts/flask_host.py", folder / "own_host.py"))


# --------------------------------------------------------------------------------- app.run()


@pytest.mark.parametrize("debug", [False, True])
def test_app_run_starts_where_it_serves(sqlite_host: Host, debug: bool) -> None:
    """A script that calls ``app.run()`` starts the scheduler, with and without the reloader."""
    server = sqlite_host.server("-m", APP, debug=debug)
    (pid,) = sqlite_host.workers(1)
    assert pid in (children_of(server.pid) if debug else {server.pid})


# --------------------------------------------------------------------------------- gunicorn


@needs_gunicorn
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_each_gunicorn_worker_starts_the_scheduler(host: Host, options: tuple[str, ...]) -> None:
    """Workers start before any request, the arbiter never; each due time runs once."""
    server = gunicorn(host, *options, beat=BEAT)
    pids = host.workers(2)
    assert pids == children_of(server.pid)
    wait_until(lambda: set(host.column("select pid from effect")) == pids)
    effects = host.column("select nominal from effect")
    assert len(effects) == len(set(effects))
    assert_decided_once(host, "beat", BEAT)
    assert [status(f"{server.url}/duly/") for _ in range(6)] == [200] * 6  # whichever worker it is
    server.terminate()
    assert host.scheduler.workers() == []
    assert "Traceback" not in server.output()


@needs_gunicorn
def test_with_preload_and_four_workers_each_due_time_runs_once(host: Host) -> None:
    """The arbiter loads the application and starts nothing; its four forks execute runs."""
    server = gunicorn(host, "--preload", workers=4, beat=BEAT)
    pids = host.workers(4)
    assert pids == children_of(server.pid)
    wait_until(lambda: len(host.column("select pid from effect")) >= 12)
    effects = host.column("select nominal from effect")
    assert len(effects) == len(set(effects))
    assert set(host.column("select pid from effect")) <= pids
    assert_decided_once(host, "beat", BEAT)


@needs_gunicorn
def test_gunicorn_workers_give_back_unfinished_runs(sqlite_host: Host) -> None:
    """SIGTERM to the arbiter shuts its workers down gracefully."""
    server = gunicorn(sqlite_host, grace=0.2, ready="/")
    run_id = ask(f"{server.url}/tasks/hold", method="POST")
    sqlite_host.hear("entered")
    server.terminate()
    run = sqlite_host.scheduler.run(run_id)
    assert (run.state, run.attempt, run.crashes) == ("ready", 0, 0)


@needs_gunicorn
def test_a_killed_worker_is_replaced_and_its_run_starts_again(host: Host) -> None:
    """The arbiter forks another worker; the dead worker's run is executed in a further attempt."""
    server = gunicorn(host, ready="/")
    before = host.workers(2)
    run_id = ask(f"{server.url}/tasks/hold", method="POST")
    host.hear("entered")
    holder = host.scheduler.run(run_id).worker_id
    (pid,) = [worker.pid for worker in host.scheduler.workers() if worker.id == holder]
    os.kill(pid, signal.SIGKILL)
    host.say("leave")
    run = host.ended(run_id)
    assert (run.state, run.attempt, run.crashes) == ("succeeded", 2, 1)
    assert len(host.workers(2) & before) == 1


# ----------------------------------------------------------------------------- other servers

WSGIREF = f"""
from wsgiref.simple_server import make_server
from {APP} import app, scheduler
with make_server("127.0.0.1", 0, app) as server:
    print("running on http://127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()
"""


def test_behind_another_server_the_first_request_starts_it(sqlite_host: Host) -> None:
    """An unknown server is recognized by the keys it sets in the WSGI environment."""
    server = sqlite_host.server("-c", WSGIREF)
    assert sqlite_host.untouched()
    ask(server.url)
    assert sqlite_host.workers(1) == {server.pid}


def test_a_required_database_that_is_unreachable_stops_another_server(
    sqlite_host: Host, tmp_path: Path
) -> None:
    """The first request reveals the problem, and the process ends as after SIGTERM."""
    sqlite_host.url = f"sqlite:///{tmp_path}/nowhere/app.db"
    server = sqlite_host.server("-c", WSGIREF, required=True)
    assert status(server.url) in (200, 599)
    assert server.wait() == -signal.SIGTERM
    assert "The scheduler could not start" in server.output()


@needs_gunicorn
def test_a_required_database_that_is_unreachable_stops_gunicorn(
    sqlite_host: Host, tmp_path: Path
) -> None:
    """The workers fail to boot, and the arbiter exits."""
    sqlite_host.url = f"sqlite:///{tmp_path}/nowhere/app.db"
    server = gunicorn(sqlite_host, required=True)
    assert server.wait() != 0
    assert "DatabaseUnavailable" in server.output()
