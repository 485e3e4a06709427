"""``duly worker --processes``: processes that are replaced when they die, and stop together."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from duly import Scheduler
from tests.support.processes import Child, Children
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
APP = """
import threading
from pathlib import Path
from duly import Scheduler, every
scheduler = Scheduler({url!r}, heartbeat="fast", queues={{"default": 2}})

@scheduler.task(timeout=60)
def nap() -> None:
    threading.Event().wait(0.02)

@scheduler.task()
def hold() -> None:
    Path("entered").touch()
    threading.Event().wait(240)

if Path("broken").exists():
    raise RuntimeError("this application is broken")
"""
CALL = "from duly.cli.main import main; main(prog_name='duly')"
STARTED = r"Process (\d) \(pid (\d+)\) has started"


@pytest.fixture
def look(prepared_sqlite_url: str, tmp_path: Path) -> Iterator[Scheduler]:
    """An application in a file, and a scheduler that inspects its database."""
    yield from application(prepared_sqlite_url, tmp_path)


@pytest.fixture
def look_at_postgresql(prepared_postgresql_url: str, tmp_path: Path) -> Iterator[Scheduler]:
    """As `look`, on PostgreSQL."""
    yield from application(prepared_postgresql_url, tmp_path)


def application(url: str, folder: Path) -> Iterator[Scheduler]:
    (folder / "jobs.py").write_text(APP.format(url=url))
    made = Scheduler(url)
    made.task(name="nap", timeout=60)(nothing)
    made.task(name="hold")(nothing)
    yield made
    made.store.dispose()


def nothing() -> None:
    """Has the signature of the application's tasks."""


def supervise(children: Children, count: int, *options: str) -> Child:
    """Start ``duly worker`` with processes, and wait until all of them have started."""
    command = ("worker", "jobs:scheduler", "--processes", str(count), *options)
    supervisor = children.python("-c", CALL, *command)
    wait_until(lambda: len(starts(supervisor)) == count or not supervisor.running)
    assert supervisor.running, supervisor.output()
    return supervisor


def starts(supervisor: Child) -> list[tuple[int, int]]:
    """The number and the process id of each process that has started, in this order."""
    return [(int(number), int(pid)) for number, pid in re.findall(STARTED, supervisor.output())]


def test_killed_process_is_replaced_and_no_run_is_lost(
    look_at_postgresql: Scheduler, children: Children
) -> None:
    """1,000 runs of 20 ms on 4 processes, one of which is killed meanwhile: all succeed.

    The killed process is replaced within two seconds, and SIGTERM ends all within the grace period.
    """
    look, grace = look_at_postgresql, 20
    began = time.time()
    supervisor = supervise(children, 4, "--grace", str(grace))
    all_started = time.time() - began
    look.enqueue_many("nap", [{}] * 1000)
    wait_until(lambda: look.runs(state="succeeded", limit=1))
    number, victim = starts(supervisor)[1]
    assert look.runs(state=["ready", "running"], limit=1)
    killed_at = time.time()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(starts(supervisor)) == 5)
    back = time.time() - killed_at
    assert starts(supervisor)[-1][0] == number
    successor = psutil.Process(starts(supervisor)[-1][1])
    assert successor.create_time() - killed_at < 0.5
    assert back < max(2, all_started)  # a machine too busy for two seconds was so at the start
    wait_until(lambda: len(look.runs(state="succeeded", limit=1000)) == 1000)
    assert "was killed by SIGKILL. Starting it again now." in supervisor.output()
    began = time.monotonic()
    assert supervisor.terminate() == 0, supervisor.output()
    assert time.monotonic() - began < grace
    assert supervisor.output().count("has stopped.") == 4
    assert not any(psutil.pid_exists(pid) for _, pid in starts(supervisor))
    assert look.workers() == []


def test_second_signal_skips_the_grace_period(
    look: Scheduler, children: Children, tmp_path: Path
) -> None:
    """The first signal waits for running functions, and the second gives their runs back."""
    run_id = look.enqueue("hold")
    supervisor = supervise(children, 2, "--grace", "3000")
    wait_until((tmp_path / "entered").exists)
    supervisor.signal(signal.SIGINT)
    supervisor.wait_for("SIGINT: stopping the processes.")
    supervisor.wait_for("SIGTERM: shutting down; running functions have 3000 s")
    supervisor.wait_for("has stopped.")
    assert look.run(run_id).state == "running"
    supervisor.signal(signal.SIGINT)
    assert supervisor.wait() == 0, supervisor.output()
    assert (look.run(run_id).state, look.run(run_id).attempt) == ("ready", 0)
    assert look.workers() == []


def test_killed_supervisor_leaves_no_process(look: Scheduler, children: Children) -> None:
    """When the supervisor is killed with SIGKILL, its processes stop by themselves, gracefully."""
    supervisor = supervise(children, 2)
    pids = [pid for _, pid in starts(supervisor)]
    supervisor.signal(signal.SIGKILL)
    assert supervisor.wait() == -signal.SIGKILL
    wait_until(lambda: not any(map(running, pids)))
    assert look.workers() == []


def test_application_that_cannot_be_loaded_is_reported_once(
    look: Scheduler, children: Children, tmp_path: Path
) -> None:
    """The supervisor gives up with the exit code of the first process if that cannot start."""
    (tmp_path / "broken").touch()
    broken = children.python("-c", CALL, "worker", "jobs:scheduler", "--processes", "3")
    assert broken.wait() == 1
    assert broken.output().count("RuntimeError: this application is broken") == 1
    assert re.search(
        r"Process 1 \(pid \d+\) has ended with exit code 1 before it had started. Giving up.",
        broken.output(),
    )
    unknown = children.python("-c", CALL, "worker", "nojobs:scheduler", "--processes", "3")
    assert unknown.wait() == 2
    assert unknown.output().count("there is no module 'nojobs'") == 1


@pytest.mark.slow
def test_process_that_dies_again_and_again_is_given_up(
    look: Scheduler, children: Children, tmp_path: Path
) -> None:
    """A process is started again after ever longer delays; the supervisor ends when none is left.

    The deployment broke the application while it was running.
    """
    supervisor = supervise(children, 1)
    (tmp_path / "broken").touch()
    os.kill(starts(supervisor)[0][1], signal.SIGKILL)
    assert supervisor.wait() == 1
    told = re.findall(r"Starting it again (.*)\.", supervisor.output())
    assert told == ["now", "in 1 s", "in 2 s", "in 4 s", "in 8 s"]
    assert "No process is left, and the last 5 starts have failed. Giving up." in (
        supervisor.output()
    )


def test_processes_of_run_fire(look: Scheduler, children: Children) -> None:
    """``duly run --processes`` starts processes that fire and execute; ``--once`` is refused."""
    supervisor = children.python("-c", CALL, "run", "jobs:scheduler", "--processes", "2")
    wait_until(lambda: len(starts(supervisor)) == 2)
    assert supervisor.output().count("fires and executes") == 2
    assert supervisor.terminate() == 0
    refused = children.python("-c", CALL, "run", "jobs:scheduler", "--processes", "2", "--once")
    assert refused.wait() == 2


def running(pid: int) -> bool:
    """Whether a process exists and has not ended, collected or not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
