"""A forked child process neither uses nor disturbs the scheduler of its parent."""

from __future__ import annotations

import pytest

from tests.support.processes import Children

PROGRAM = """
import multiprocessing, os, sys, threading
from duly import Scheduler, every

scheduler = Scheduler({url!r}, heartbeat="fast", grace=5)
entered, leave = threading.Event(), threading.Event()

@scheduler.job(every(hours=1), id="long")
def long() -> str:
    entered.set()
    leave.wait(240)
    return "done"

@scheduler.task()
def quick() -> None: ...

def child() -> None:
    assert scheduler.state == "stopped", scheduler.state
    run_id = quick.enqueue()
    assert scheduler.run(run_id).task == "quick"
    scheduler.stop()  # as an exit hook would: there is nothing to stop here

scheduler.start()
run_id = scheduler.run_now("long").id
assert entered.wait(240)
(before,) = scheduler.workers()
pid = os.fork()
if pid == 0:
    try:
        child()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    sys.exit(0)  # with every exit hook
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert [worker.id for worker in scheduler.workers()] == [before.id]
run = scheduler.run(run_id)
assert (run.state, run.attempt, run.worker_id) == ("running", 1, before.id), run
leave.set()
scheduler.stop()
run = scheduler.run(run_id)
assert (run.state, run.result) == ("succeeded", "done"), run
assert [run.state for run in scheduler.runs(task="quick")] in (["succeeded"], ["ready"])
print("held")
"""

STARTS_IN_CHILD = """
import os, sys
from duly import Scheduler, every

scheduler = Scheduler({url!r}, heartbeat="fast", grace=5)

@scheduler.job(every(hours=1), id="where")
def where() -> int:
    return os.getpid()

scheduler.prepare()  # the parent has used its connections
pid = os.fork()
if pid == 0:
    with scheduler.running():
        assert scheduler.run_now("where", wait=10).result == os.getpid()
        (worker,) = scheduler.workers()
        assert worker.pid == os.getpid()
    sys.exit(0)
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert scheduler.workers() == [] and scheduler.job("where").state == "active"
print("held")
"""

FORKS_DURING_A_WRITE = """
import os, sys, threading
from duly import Scheduler

scheduler = Scheduler({url!r})

@scheduler.task()
def quick() -> None: ...

scheduler.prepare()
inside, forking = threading.Event(), threading.Event()
os.register_at_fork(before=forking.set)

def write() -> None:
    with scheduler.store.write() as tx:
        tx.record("queue.paused", reason="a write that is open when the fork begins")
        inside.set()
        assert forking.wait(240)

writer = threading.Thread(target=write)
writer.start()
assert inside.wait(240)
pid = os.fork()
if pid == 0:
    quick.enqueue()
    sys.exit(0)
_, status = os.waitpid(pid, 0)
assert status == 0, status
writer.join()
quick.enqueue()
assert len(scheduler.runs()) == 2
print("held")
"""


@pytest.mark.processes
def test_a_fork_waits_for_an_open_write_transaction(database_url: str, children: Children) -> None:
    """Otherwise the child would inherit an SQLite lock of a thread that it does not have."""
    child = children.python("-W", "error", "-c", FORKS_DURING_A_WRITE.format(url=database_url))
    assert child.wait() == 0, child.output()
    assert "held" in child.output()


@pytest.mark.processes
def test_a_child_does_not_disturb_its_parent(database_url: str, children: Children) -> None:
    """A child forked during a run may enqueue; its exit neither stops the worker nor its runs."""
    child = children.python("-W", "error", "-c", PROGRAM.format(url=database_url))
    assert child.wait() == 0, child.output()
    assert "held" in child.output()


@pytest.mark.processes
def test_a_child_may_start_a_worker_of_its_own(database_url: str, children: Children) -> None:
    """The child of a process with open connections starts with new ones."""
    child = children.python("-W", "error", "-c", STARTS_IN_CHILD.format(url=database_url))
    assert child.wait() == 0, child.output()
    assert "held" in child.output()
