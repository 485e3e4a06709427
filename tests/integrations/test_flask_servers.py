"""Where a Flask application serves, its scheduler starts; nowhere else. With real servers."""

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
    """Sync workers."""
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
def test_nothing_starts_where_nothing_is_served(sqlite_host: Host, command: tuple[str]) -> None:
    """A command, a shell, a script and a test client do not even contact the database."""
    child = sqlite_host.python(*command)
    assert child.wait() == 0, child.output()
    assert "Traceback" not in child.output()
    assert sqlite_host.untouched()


# -------------------------------------------------------------------------------- flask run


def test_flask_run_starts_without_any_request(host: Host) -> None:
    """Jobs are due whether somebody looks at the site or not; they run inside its context."""
    server = host.server(*RUN, beat=BEAT)
    assert host.workers(1) == {server.pid}
    wait_until(lambda: len(host.column("select pid from effect")) >= 3)
    assert {run.result for run in host.scheduler.runs(job="beat", state="succeeded")} == {"host"}
    assert_decided_once(host, "beat", BEAT)


@pytest.mark.parametrize("task", ["hold", "hold_async"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_what_does_not_end_within_the_grace_is_given_back(
    sqlite_host: Host, task: str, number: int
) -> None:
    """SIGTERM and Ctrl-C end ``flask run`` in order: the run costs no attempt, the worker left."""
    server = sqlite_host.server(*RUN, grace=0.2, ready="/")
    run_id = ask(f"{server.url}/tasks/{task}", method="POST")
    sqlite_host.hear("entered")
    server.signal(number)
    server.wait()
    run = sqlite_host.scheduler.run(run_id)
    assert (run.state, run.attempt, run.crashes, run.worker_id) == ("ready", 0, 0, None)
    assert sqlite_host.scheduler.workers() == []


def test_a_stop_waits_for_what_runs(sqlite_host: Host) -> None:
    """A run that ends within the grace succeeds."""
    server = sqlite_host.server(*RUN, ready="/")
    run_id = ask(f"{server.url}/tasks/hold", method="POST")
    sqlite_host.hear("entered")
    server.signal(signal.SIGTERM)
    wait_until(lambda: all(worker.draining for worker in sqlite_host.scheduler.workers()))
    sqlite_host.say("leave")
    assert server.wait() == 128 + signal.SIGTERM
    run = sqlite_host.scheduler.run(run_id)
    assert (run.state, run.attempt, run.result) == ("succeeded", 1, "finished")


def test_a_database_that_is_required_stops_the_host(sqlite_host: Host, tmp_path: Path) -> None:
    """``start="required"`` ends ``flask run`` with the reason, before it serves."""
    sqlite_host.url = f"sqlite:///{tmp_path}/nowhere/app.db"
    child = sqlite_host.python(*RUN, required=True)
    assert child.wait() != 0
    assert "DatabaseUnavailable" in child.output()
    assert "Running on" not in child.output()


def test_a_database_that_is_away_does_not_stop_the_host(sqlite_host: Host, tmp_path: Path) -> None:
    """The application serves, says what is wrong, and works as soon as the database is there."""
    sqlite_host.url = f"sqlite:///{tmp_path}/later/app.db"
    server = sqlite_host.server(*RUN, ready="/")
    assert not ask(server.url)["ok"]
    (tmp_path / "later").mkdir()
    wait_until(lambda: ask(server.url)["ok"], what="a healthy scheduler")


# ----------------------------------------------------------------------------- the reloader


def test_under_the_reloader_only_the_serving_process_takes_part(sqlite_host: Host) -> None:
    """``flask run --debug`` is two processes: one worker, and each due time runs once."""
    server = sqlite_host.server(*FLASK, "--debug", "run", "--port", "0", beat=BEAT)
    pids = sqlite_host.workers(1)
    assert pids == children_of(server.pid) == {ask(server.url)["pid"]}
    wait_until(lambda: len(sqlite_host.column("select pid from effect")) >= 8)
    assert set(sqlite_host.column("select pid from effect")) == pids
    assert_decided_once(sqlite_host, "beat", BEAT)


def test_a_reload_hands_over_to_the_next_process(sqlite_host: Host, tmp_path: Path) -> None:
    """After a change of the code another process takes part, and nothing was doubled."""
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
    """After a slip the reloader serves an error page; half an application takes no part."""
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
    """The host as a file that a test may change."""
    return Path(shutil.copy(Path(__file__).parent / "hosts/flask_host.py", folder / "own_host.py"))


# --------------------------------------------------------------------------------- app.run()


@pytest.mark.parametrize("debug", [False, True])
def test_app_run_starts_where_it_serves(sqlite_host: Host, debug: bool) -> None:
    """A script that ends in ``app.run()`` takes part, with and without the reloader."""
    server = sqlite_host.server("-m", APP, debug=debug)
    (pid,) = sqlite_host.workers(1)
    assert pid in (children_of(server.pid) if debug else {server.pid})


# --------------------------------------------------------------------------------- gunicorn


@needs_gunicorn
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_each_worker_of_gunicorn_takes_part(host: Host, options: tuple[str, ...]) -> None:
    """Without any request the workers start, the arbiter does not; every due time runs once."""
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
    """The application is loaded in the arbiter, which takes no part, and serves in four forks."""
    server = gunicorn(host, "--preload", workers=4, beat=BEAT)
    pids = host.workers(4)
    assert pids == children_of(server.pid)
    wait_until(lambda: len(host.column("select pid from effect")) >= 12)
    effects = host.column("select nominal from effect")
    assert len(effects) == len(set(effects))
    assert set(host.column("select pid from effect")) <= pids
    assert_decided_once(host, "beat", BEAT)


@needs_gunicorn
def test_gunicorns_workers_give_back_what_does_not_end(sqlite_host: Host) -> None:
    """SIGTERM to the arbiter ends them in order."""
    server = gunicorn(sqlite_host, grace=0.2, ready="/")
    run_id = ask(f"{server.url}/tasks/hold", method="POST")
    sqlite_host.hear("entered")
    server.terminate()
    run = sqlite_host.scheduler.run(run_id)
    assert (run.state, run.attempt, run.crashes) == ("ready", 0, 0)


@needs_gunicorn
def test_a_killed_worker_is_replaced_and_its_run_starts_again(host: Host) -> None:
    """The arbiter forks another worker; the run of the dead one is a further attempt."""
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
    """A server that nobody knows is known by what it tells the application."""
    server = sqlite_host.server("-c", WSGIREF)
    assert sqlite_host.untouched()
    ask(server.url)
    assert sqlite_host.workers(1) == {server.pid}


def test_a_database_that_is_required_stops_another_server(
    sqlite_host: Host, tmp_path: Path
) -> None:
    """There it is found out with the first request, and ends the process as SIGTERM does."""
    sqlite_host.url = f"sqlite:///{tmp_path}/nowhere/app.db"
    server = sqlite_host.server("-c", WSGIREF, required=True)
    assert status(server.url) in (200, 599)
    assert server.wait() == -signal.SIGTERM
    assert "the scheduler could not start" in server.output()


@needs_gunicorn
def test_a_database_that_is_required_stops_gunicorn(sqlite_host: Host, tmp_path: Path) -> None:
    """Its workers fail to boot, and the arbiter gives up."""
    sqlite_host.url = f"sqlite:///{tmp_path}/nowhere/app.db"
    server = gunicorn(sqlite_host, required=True)
    assert server.wait() != 0
    assert "DatabaseUnavailable" in server.output()
