"""``duly run`` and ``duly worker`` enter the lifespan of an application, and serve nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from duly import Scheduler
from tests.cli.test_run import CALL
from tests.support.processes import Children
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
FASTAPI = """
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from fastapi import FastAPI
from duly import JobGroup, Run, Scheduler
from duly.integrations.fastapi import init_app

scheduler = Scheduler({url!r}, heartbeat="fast")
jobs = JobGroup()

@asynccontextmanager
async def lifespan(app):
    app.state.loop = asyncio.get_running_loop()
    yield
    Path("closed").write_text(scheduler.state)

@jobs.task()
async def use(run: Run) -> bool:
    return run.app.state.loop is asyncio.get_running_loop()

scheduler.include(jobs)

def create_app(start=True) -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    init_app(app, scheduler, start=start)
    return app

@asynccontextmanager
async def broken(app):
    raise LookupError("no setting SHOP\x1b[31m")
    yield

def failing() -> FastAPI:
    app = FastAPI(lifespan=broken)
    init_app(app, scheduler)
    return app

def enqueuer() -> FastAPI:
    return create_app(start=False)
"""
MODULE = """
from {factory_module} import create_app
app = create_app()
"""
FLASK = """
from flask import Flask, current_app
from duly import Scheduler
from duly.integrations.flask import init_app

scheduler = Scheduler({url!r})

@scheduler.task()
def use() -> bool:
    return current_app.name == "shop"

def create_app() -> Flask:
    app = Flask("shop")
    init_app(app, scheduler)
    return app

app = create_app()
bare = Flask("bare")
"""


@pytest.fixture
def look(prepared_sqlite_url: str, tmp_path: Path) -> Iterator[Scheduler]:
    """Applications in files, and a scheduler that inspects their database."""
    (tmp_path / "factory.py").write_text(FASTAPI.format(url=prepared_sqlite_url))
    (tmp_path / "shop.py").write_text(MODULE.format(factory_module="factory"))
    (tmp_path / "flask_shop.py").write_text(FLASK.format(url=prepared_sqlite_url))
    made = Scheduler(prepared_sqlite_url)

    @made.task()
    def use() -> None: ...

    yield made
    made.store.dispose()


@pytest.mark.parametrize("command", ["run", "worker"])
@pytest.mark.parametrize("app", ["shop:app", "factory:create_app", "factory:enqueuer"])
def test_jobs_find_what_the_lifespan_opens(
    look: Scheduler, children: Children, tmp_path: Path, command: str, app: str
) -> None:
    """On the loop of the lifespan, which ends when the scheduler has stopped."""
    run_id = look.enqueue("use")
    child = children.python("-c", CALL, command, app)
    wait_until(lambda: look.run(run_id).is_terminal)
    child.signal(signal.SIGTERM)
    assert child.wait() == 0, child.output()
    assert look.run(run_id).result is True
    assert (tmp_path / "closed").read_text() == "stopped"
    assert look.workers() == []
    assert "Traceback" not in child.output()


@pytest.mark.parametrize("app", ["shop:app", "factory:enqueuer", "flask_shop:app"])
def test_once_executes_what_is_due_and_ends(look: Scheduler, children: Children, app: str) -> None:
    """``--once`` enters the lifespan too; an application of Flask has its context."""
    run_id = look.enqueue("use")
    child = children.python("-c", CALL, "run", "--once", app)
    assert child.wait() == 0, child.output()
    assert look.run(run_id).result is True
    assert look.workers() == []


def test_a_lifespan_that_fails_is_reported_in_a_few_lines(
    look: Scheduler, children: Children
) -> None:
    """The operator reads what failed, and the application's own frames, but none of libraries."""
    child = children.python("-c", CALL, "worker", "factory:failing")
    assert child.wait() == 1
    output = child.output()
    assert output.count('File "') == 1
    assert "in broken" in output
    assert r"LookupError: no setting SHOP\x1b[31m" in output
    assert "duly: the application's lifespan failed to start; see the traceback above" in output
    assert len(output.splitlines()) < 12


def test_an_application_without_a_scheduler_is_refused(look: Scheduler, children: Children) -> None:
    """The message names `init_app`, and nothing is called."""
    child = children.python("-c", CALL, "run", "flask_shop:bare")
    assert child.wait() == 2
    assert "init_app(app, scheduler)" in child.output()
    assert "Traceback" not in child.output()
