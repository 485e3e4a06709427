"""What functions start or fork in a process of their own ends with it, and harms no other run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import Children
from tests.support.waiting import wait_until
from tests.worker import process_tasks as tasks
from tests.worker.conftest import World, step

pytestmark = pytest.mark.processes


@pytest.fixture
def world(prepared_sqlite_url: str) -> Iterator[World]:
    """These tests do not depend on the database."""
    made = World(prepared_sqlite_url)
    yield made
    made.close()


def pid_in(path: Path) -> int:
    """Wait until a function has written a process id, and return it."""
    return int(wait_until(lambda: path.exists() and path.read_text(), what=f"{path}"))


def gone(pid: int) -> bool:
    """Return whether a process has ended, even if it is still a zombie."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("how", ["timeout", "cancel", "stop"])
def test_U18_sub_processes_end_with_the_function_that_started_them(
    world: World, tmp_path: Path, how: str
) -> None:
    """After a timeout, a cancellation or a stop nothing of the run is left."""
    scheduler = world.scheduler()
    timeout = 5 if how == "timeout" else None
    name = scheduler.task(executor="process", timeout=timeout)(tasks.starts_another).name
    run_id = scheduler.enqueue(name, folder=str(tmp_path))
    step(scheduler)
    pid = pid_in(tmp_path / "another")
    if how == "stop":
        scheduler.stop(grace=0)
    else:
        if how == "cancel":
            scheduler.cancel(run_id)
        world.clock.advance(5)
        step(scheduler)
    wait_until(lambda: gone(pid))


@pytest.mark.parametrize(
    "fork",
    [tasks.forks_and_exits, tasks.forks_and_returns, tasks.forks_and_raises],
    ids=["exits", "returns", "raises"],
)
@pytest.mark.parametrize("executor", ["process", "auto"])
def test_U18_a_forked_process_does_not_go_on_as_a_worker(
    children: Children, prepared_sqlite_url: str, fork: Callable[..., str], executor: str
) -> None:
    """It ends where the function ends there; this run and the next have their own results."""
    child = children.python("-c", FORKING, prepared_sqlite_url, fork.__name__, executor)
    assert child.wait_for(r"^results: (.*)$")[1] == "['parent', 3]"
    assert child.wait() == 0


FORKING = """
import sys
from duly import Scheduler
from tests.worker import process_tasks as tasks

scheduler = Scheduler(sys.argv[1], queues={"default": 1})
fork = scheduler.task(executor=sys.argv[3])(getattr(tasks, sys.argv[2])).name
add = scheduler.task(executor=sys.argv[3])(tasks.add).name
ids = [scheduler.enqueue(fork), scheduler.enqueue(add, a=1)]
scheduler.tick()
print("results:", [scheduler.run(run_id).result for run_id in ids], flush=True)
scheduler.stop()
"""
