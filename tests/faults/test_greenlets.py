"""gunicorn with workers of gevent, whose threads are replaced while the worker boots."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from duly import Scheduler, VirtualClock, forking
from duly.integrations.flask import init_app
from duly.worker.worker import Worker
from tests.support.processes import Children
from tests.support.waiting import wait_until

APP = """
from flask import Flask
from duly import Scheduler, every
from duly.integrations.flask import init_app

app = Flask(__name__)
scheduler = Scheduler({url!r}, heartbeat="fast")

@scheduler.job(every(seconds=1), id="beat")
def beat() -> None: ...

init_app(app, scheduler)
"""
SPAWN = """
def spawn_worker(worker, call):
    return call()
"""


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["plain", "preload"])
def test_U19_jobs_run_in_a_worker_of_gevent(
    children: Children, tmp_path: Path, prepared_sqlite_url: str, options: list[str]
) -> None:
    """Also if the application was loaded before gevent replaced the threads."""
    (tmp_path / "app.py").write_text(APP.format(url=prepared_sqlite_url))
    command = ["-m", "gunicorn", "-k", "gevent", "-b", "127.0.0.1:0", *options, "app:app"]
    server = children.python(*command)
    looking = Scheduler(prepared_sqlite_url)
    wait_until(lambda: len(looking.runs(job="beat", state="succeeded")) >= 2)
    server.wait_for("gevent has replaced the threads of this process")
    assert server.terminate() == 0
    looking.store.dispose()


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let gevent replace the threads of this process, as far as Duly can see."""

    def patch() -> None:
        module = ModuleType("gevent.monkey")
        module.is_module_patched = lambda name: name == "threading"  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "gevent.monkey", module)

    return patch


class BootingWorker:
    """A worker of gunicorn that boots: it forks, replaces the threads, and calls its hooks."""

    def __init__(self) -> None:
        self.booted = False
        self.called: list[object] = []
        self.cfg = SimpleNamespace(post_worker_init=self.called.append, set=self.set)

    def set(self, name: str, value: Any) -> None:
        setattr(self.cfg, name, value)

    def load(self, load: Callable[[], Any]) -> None:
        """Load the application where gunicorn does."""
        names: dict[str, Any] = {"__name__": "gunicorn.arbiter"}
        exec(SPAWN, names)
        names["spawn_worker"](self, load)


def test_U19_gunicorns_own_hook_starts_the_scheduler(
    prepared_sqlite_url: str, patched: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It is called on the main thread, after the threads were replaced; its owner's is kept."""
    scheduler, worker = Scheduler(prepared_sqlite_url), BootingWorker()
    scheduler.task(name="work")(lambda: None)
    before = scheduler.store.engine.pool
    worker.load(lambda: init_app(Flask("shop"), scheduler))
    assert scheduler.state == "stopped"
    patched()
    worker.cfg.post_worker_init(worker)
    try:
        assert worker.called == [worker]
        assert scheduler.store.engine.pool is not before, "its locks are from before"
        wait_until(lambda: scheduler.state == "running")
        assert any("gevent has replaced the threads" in line for line in caplog.messages)
    finally:
        scheduler.stop(grace=0)


def test_U19_a_scheduler_that_never_gets_to_its_first_step_says_so(
    prepared_sqlite_url: str, patched: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health names the time and the suspect, and not only "starting" for ever."""
    leave, clock = threading.Event(), VirtualClock()
    scheduler = Scheduler(prepared_sqlite_url, clock=clock)
    monkeypatch.setattr(Worker, "tick", lambda *_any, **_options: leave.wait(240))
    scheduler.start()
    try:
        assert scheduler.health().detail is None
        clock.advance(31)
        assert scheduler.health().detail == "the worker has not taken its first step in 31 s"
        patched()
        assert "because gevent replaced" in str(scheduler.health().detail)
        assert not scheduler.health().ok
    finally:
        leave.set()
        monkeypatch.undo()
        scheduler.stop(grace=0)


def test_U19_an_ordinary_process_is_not_patched() -> None:
    """No warning without a reason."""
    assert forking.patched_by() is None
