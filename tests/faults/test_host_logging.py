"""The border between Duly's capture of log lines and the logging of the application."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from duly import Run, Scheduler
from tests.support.processes import Children
from tests.worker import process_tasks as tasks

PROGRAM = """
import json, logging, logging.config, sys
from duly import Run, Scheduler

scheduler = Scheduler(sys.argv[1])
app = logging.getLogger("app")

@scheduler.task()
def work(run: Run):
    run.log.info("from the run")
    app.warning("from the application")

CONFIGURE
scheduler.tick()
CONFIGURE_LATER
app.warning("the host speaks")
run_id = scheduler.enqueue(work)
scheduler.tick()
print("stored:", json.dumps([line.message for line in scheduler.run_log(run_id)]), flush=True)
scheduler.stop()
"""

FILE_CONFIG = """[loggers]
keys=root
[handlers]
keys=err
[formatters]
keys=line
[logger_root]
level=WARNING
handlers=err
[handler_err]
class=StreamHandler
formatter=line
args=(sys.stderr,)
[formatter_line]
format=host: %(message)s
"""

DICT_CONFIG = (
    "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': True, 'formatters': "
    "{'f': {'format': 'host: %(message)s'}}, 'handlers': {'h': {'class': 'logging.StreamHandler', "
    "'formatter': 'f'}}, 'root': {'handlers': ['h']}, 'loggers': {'app': {}}})"
)
BASIC_CONFIG = "logging.basicConfig(format='host: %(message)s')"


def outcome(
    children: Children, url: str, *, before: str = "", after: str = ""
) -> tuple[str, list[str]]:
    """Run the program, and return what it printed and the lines that its run has stored."""
    program = PROGRAM.replace("CONFIGURE_LATER", after).replace("CONFIGURE", before)
    child = children.python("-c", program, url)
    found = child.wait_for(r"^stored: (.*)$")
    child.wait()
    return child.output(), json.loads(found[1])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("configure", "shown"),
    [
        pytest.param("", "the host speaks", id="nothing"),
        pytest.param(BASIC_CONFIG, "host: the host speaks", id="basicConfig"),
        pytest.param(DICT_CONFIG, "host: the host speaks", id="dictConfig"),
    ],
)
def test_U01_the_host_logs_as_if_there_were_no_scheduler(
    children: Children, prepared_sqlite_url: str, configure: str, shown: str, when: str
) -> None:
    """Whatever configures logging, before or after the start, does what it does without Duly."""
    output, stored = outcome(children, prepared_sqlite_url, **{when: configure})
    assert shown in output.splitlines()
    assert stored == ["from the run", "from the application"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_U02_the_lines_of_a_run_survive_fileconfig(
    children: Children, prepared_sqlite_url: str, tmp_path: Path, when: str
) -> None:
    """``fileConfig`` disables the loggers that exist; the run's own logger is not among them."""
    (tmp_path / "log.ini").write_text(FILE_CONFIG)
    configure = f"logging.config.fileConfig({str(tmp_path / 'log.ini')!r})"
    output, stored = outcome(children, prepared_sqlite_url, **{when: configure})
    assert stored == ["from the run"]
    assert "the host speaks" not in output


def test_U02_the_lines_of_a_run_survive_logging_disable(
    children: Children, prepared_sqlite_url: str
) -> None:
    """``logging.disable`` silences the host's log, and not the history of its runs."""
    output, stored = outcome(
        children, prepared_sqlite_url, after="logging.disable(logging.CRITICAL)"
    )
    assert stored == ["from the run"]
    assert "the host speaks" not in output


FLASK = """
import sys
from flask import Flask
from duly import Scheduler
scheduler = Scheduler(sys.argv[1])
app = Flask("shop")

@app.get("/")
def boom():
    return str(1 / 0)

scheduler.start()
print("status:", app.test_client().get("/").status_code, flush=True)
scheduler.stop()
"""


def test_U01_a_bare_flask_application_shows_its_tracebacks(
    children: Children, prepared_sqlite_url: str
) -> None:
    """An endpoint raises: the traceback is in the log, although logging is not configured."""
    child = children.python("-c", FLASK, prepared_sqlite_url)
    child.wait_for(r"^status: 500$")
    child.wait()
    assert "Exception on / [GET]" in child.output()
    assert "ZeroDivisionError" in child.output()


UVICORN = """
import logging, os
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.routing import Route
from duly import Scheduler

scheduler = Scheduler(os.environ["DATABASE"])

async def boom(request):
    logging.getLogger("shop").warning("the shelf is empty")
    raise LookupError("no shelf")

@asynccontextmanager
async def lifespan(app):
    await scheduler.aio.start()
    yield
    await scheduler.aio.stop()

app = Starlette(routes=[Route("/boom", boom)], lifespan=lifespan)
"""


def test_U01_a_bare_uvicorn_application_shows_its_warnings_and_tracebacks(
    children: Children, prepared_sqlite_url: str, tmp_path: Path
) -> None:
    """Its warnings reach the terminal through Python's last resort, as they do without Duly."""
    (tmp_path / "shop.py").write_text(UVICORN)
    server = children.uvicorn("shop:app", env={"DATABASE": prepared_sqlite_url})
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(server.url + "/boom", timeout=60)
    server.wait_for("the shelf is empty")
    server.wait_for("LookupError: no shelf")


def test_U02_the_logger_of_a_run_works_on_every_thread(prepared_sqlite_url: str) -> None:
    """Lines from a pool's threads are stored with the run whose logger they use."""
    scheduler = Scheduler(prepared_sqlite_url)

    @scheduler.task()
    def fan_out(run: Run) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda part: run.log.info("part %s", part), range(3)))

    @scheduler.task()
    async def offload(run: Run) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, run.log.warning, "from the executor")

    first, second = scheduler.enqueue(fan_out), scheduler.enqueue(offload)
    scheduler.tick()
    lines = [line.message for line in scheduler.run_log(first)]
    assert sorted(lines) == ["part 0", "part 1", "part 2"]
    assert [line.message for line in scheduler.run_log(second)] == ["from the executor"]
    scheduler.stop()


def test_U02_debug_lines_are_stored_on_request(prepared_sqlite_url: str) -> None:
    """A function may lower the level of its own run's logger."""
    scheduler = Scheduler(prepared_sqlite_url)

    @scheduler.task()
    def work(run: Run) -> None:
        run.log.debug("not stored")
        run.log.setLevel(logging.DEBUG)
        run.log.debug("stored")

    run_id = scheduler.enqueue(work)
    scheduler.tick()
    assert [line.message for line in scheduler.run_log(run_id)] == ["stored"]
    scheduler.stop()


class _Hide(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().replace("hunter2", "•••"), ()
        return True


@pytest.mark.parametrize("name", ["duly.run", "shop"])
def test_U01_filters_of_the_host_apply_before_lines_are_stored(
    prepared_sqlite_url: str, name: str
) -> None:
    """A filter that hides secrets hides them from the run's history too."""
    scheduler = Scheduler(prepared_sqlite_url)
    hide, logger = _Hide(), logging.getLogger(name)

    @scheduler.task()
    def work(run: Run) -> None:
        (run.log if name == "duly.run" else logger).warning("the password is %s", "hunter2")

    logger.addFilter(hide)
    try:
        run_id = scheduler.enqueue(work)
        scheduler.tick()
    finally:
        logger.removeFilter(hide)
    assert [line.message for line in scheduler.run_log(run_id)] == ["the password is •••"]
    scheduler.stop()


def test_U01_a_stop_leaves_nothing_behind_in_logging(prepared_sqlite_url: str) -> None:
    """After the last worker has stopped, the logging module is as it was."""
    before, handlers = logging.Logger.callHandlers, list(logging.getLogger().handlers)
    first, second = Scheduler(prepared_sqlite_url), Scheduler(prepared_sqlite_url)
    first.tick()
    second.tick()
    assert logging.getLogger().handlers == handlers
    first.stop()
    assert logging.Logger.callHandlers is not before
    second.stop()
    assert logging.Logger.callHandlers is before


@pytest.mark.processes
def test_U02_lines_of_a_process_reach_the_log_of_its_worker(
    prepared_sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With ``executor="process"`` the handlers of the application see the lines, once each."""
    scheduler = Scheduler(prepared_sqlite_url)
    name = scheduler.task(executor="process")(tasks.talk).name
    with caplog.at_level(logging.INFO):
        run_id = scheduler.enqueue(name, lines=2)
        scheduler.tick()
    scheduler.stop()
    seen = [
        (record.levelname, record.name, record.message, vars(record)["duly_run"])
        for record in caplog.records
        if record.name in ("duly.run", "app")
    ]
    assert seen == [
        ("INFO", "duly.run", "line 0", run_id),
        ("INFO", "duly.run", "line 1", run_id),
        ("WARNING", "app", "a warning", run_id),
    ]
    assert len(scheduler.run_log(run_id)) == 3
