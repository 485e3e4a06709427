"""The lifecycle of a scheduler in a host process: set up, start, step and stop."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from duly import forking
from duly.errors import DatabaseUnavailable, LifecycleError
from duly.executors.process import inside
from duly.hooks import AroundRun
from duly.model.checks import SECONDS, optional
from duly.model.settings import check_queues
from duly.model.step import OutcomeCounter, Step
from duly.operations import declare, notices, zone_data
from duly.operations.core import Core
from duly.operations.environment import DoDue, Environment
from duly.store import runs

log = logging.getLogger("duly")
POLL_S = 0.05
LISTENER_SECONDS = 5.0
"""Seconds that a stop waits for listeners, which are left alone afterwards."""


def use_database(core: Core, url: str) -> None:
    """Set the database of a scheduler that was created without one: ``Scheduler()``.

    Args:
        url: as for `Scheduler`. It may be set again while the scheduler is stopped, so that tests
            can use a separate database for each application that they create. Inside
            `duly.testing.testing` it is ignored: the test has a database already.

    Raises:
        DatabaseURLError: the URL cannot be used.
        LifecycleError: the scheduler is running, or was created with a URL.
    """
    if core.environment is not None:
        return
    if not core.takes_database:
        raise LifecycleError(f"this scheduler was created with a URL already: {core.store}")
    if core.worker.state != "stopped" or core.worker.alive:
        raise LifecycleError(f"the scheduler is running on {core.store}; call stop() first")
    core.use_database(url)


def configure_worker(
    core: Core, *, queues: Mapping[str, int] | None = None, fires: bool = True
) -> None:
    """Configure this process's worker differently from the scheduler's own settings.

    Args:
        queues: the number of runs of each queue that it executes at once; default: unchanged.
        fires: whether it fires jobs; if not, another process must.

    Raises:
        ConfigurationError: ``queues`` is empty, or a number is below 1.
        LifecycleError: the worker has started already.
    """
    if core.worker.state != "stopped" or core.worker.alive:
        raise LifecycleError("call configure_worker() before start() and tick(), or after stop()")
    wanted = core.settings.queues if queues is None else check_queues(queues)
    core.settings = replace(core.settings, queues=wanted, fires=fires)
    core.renew_worker()


def prepare(core: Core) -> None:
    """Create or migrate the tables and store the declarations in code, as `start` and `tick` do.

    A process that calls this and not `start` leaves firing and executing to other processes. Its
    `health` is therefore ok while the database responds.

    Raises:
        DatabaseUnavailable: the database does not respond.
        SchemaTooNew: the tables were created by a newer version of Duly.
    """
    core.leaves_work = core.state == "stopped" and core.environment is None
    bring_up_to_date(core)


def bring_up_to_date(core: Core) -> None:
    """Create or migrate the tables and store the declarations in code; see `prepare`."""
    core.store.prepare()
    declare.store_declarations(core)
    notices.store_rules(core)
    zone_data.follow_zone_data(core)


def start(core: Core) -> None:
    """Start firing and executing in this process, unless it has started already.

    If the database is unreachable, the scheduler retries until it responds, and `health` reports
    it; ``Scheduler(start="required")`` raises instead. Nothing is started in a process that
    executes functions for another one (``executor="process"``), nor inside `duly.testing.testing`,
    where the test itself lets everything happen.

    Raises:
        LifecycleError: it was called on an event loop that asynchronous ``resources`` need.
        SchemaTooNew: the tables were created by a newer version of Duly.
        ConfigurationError: the database is an SQLite file on a network file system.
        DatabaseUnavailable: the database is unreachable; only with ``start="required"``.
    """
    if core.state in ("running", "starting") or inside.inside():
        return
    core.leaves_work = False
    loop = _running_loop()
    if loop is not None:
        attach(core, loop)
    try:
        bring_up_to_date(core)
    except DatabaseUnavailable:  # which the store has logged
        if core.settings.required:
            raise
    core.worker.open_resources()
    if core.environment is not None:
        core.serving = True
        return
    library = forking.patched_by()
    if library is not None:
        log.warning(
            "%s has replaced the threads of this process: a function that computes, or that waits "
            "in a database driver, delays requests, other runs and the heartbeat. Execute such "
            "functions in a process of their own: duly worker APP, or executor='process'.", library,
        )  # fmt: skip
    core.worker.start()
    core.notices.start()


def stop(core: Core, grace: float | None = None) -> None:
    """Stop claiming runs, wait for running functions, then cancel them and give their runs back.

    Args:
        grace: seconds to wait for running functions; default: the scheduler's.

    Raises:
        LifecycleError: it was called by a run of this process, for which it would wait, or on the
            event loop that coroutine jobs need to finish.
    """
    _refuse_own_loop(core, "stop")
    _refuse_own_run(core, "stop")
    core.serving = False
    core.worker.stop(core.settings.grace if grace is None else grace)
    core.listeners.drain(LISTENER_SECONDS)
    core.notices.stop()
    core.close()


def skip_grace(core: Core) -> None:
    """Make a `stop` that is waiting for running functions give their runs back at once.

    It may be called from any thread, and from a signal handler.
    """
    core.worker.skip_grace()


def wake(core: Core) -> None:
    """Make the worker of this process look at the database now."""
    core.worker.wake()


def in_flight(core: Core) -> list[str]:
    """Return the ids of the runs that this process has claimed and that have not returned.

    They include runs that are waiting for a free slot, and runs that have already finished in the
    database (cancelled or timed out) while their functions are still running.
    """
    return core.worker.in_flight()


def tick(core: Core, *, wait: bool = True) -> bool:
    """Fire what is due, execute it and store the results; for tests and frozen platforms.

    Concurrent calls are serialized: a call waits until that of another thread has returned.

    Args:
        wait: whether to wait until the runs that it starts have finished. If not, they continue
            in the background, and the next call stores their results.

    Returns:
        Whether runs are still executing here, or have results that are not stored yet.

    Raises:
        LifecycleError: the worker has been started, or the call would wait for its own caller: a
            run of this process, or the event loop of coroutine jobs.
    """
    if core.worker.state != "stopped":
        raise LifecycleError("the scheduler has been started, so it steps itself")
    _refuse_own_loop(core, "tick")
    _refuse_own_run(core, "tick")
    with core.stepping:
        core.worker.open_resources()
        while core.worker.tick(wait=wait).at_once:
            pass
        return core.worker.busy


def run_due(core: Core, *, wait: float | None = 20) -> Step:
    """Execute everything that is due now; for platforms that freeze idle processes.

    If this process's worker has been started, this call wakes it and waits for it. Otherwise it
    does the work itself and sends notices; when nothing is left to do it unregisters the worker, so
    that other processes do not take it for dead.

    Args:
        wait: seconds after which the call returns even if runs are still executing; ``None``: no
            limit. These runs continue as long as the platform lets them; a worker that is frozen
            longer than its lease loses it, and its runs are started again.

    Returns:
        Whether everything is done, and the number of runs by outcome.

    Raises:
        ConfigurationError: ``wait`` is negative.
        DatabaseUnavailable: the database does not respond.
        LifecycleError: the worker is stopping, or the call would wait for its own caller; see
            `tick`.
    """
    limit = optional(SECONDS)("wait", wait)
    _refuse_own_loop(core, "run_due")
    _refuse_own_run(core, "run_due")
    until = math.inf if limit is None else core.clock.monotonic() + limit
    counter = OutcomeCounter()
    with core.listeners.counting(counter):
        started = core.worker.state in ("starting", "running")
        complete = _await_idle(core, until) if started else _step_until(core, until)
    if not started and core.environment is None:
        core.notices.outbox.work(lambda: core.clock.monotonic() < until)
    return Step(complete, counter.counts())


def _await_idle(core: Core, until: float) -> bool:
    """Wait until the started worker has looked at the database and has nothing left to do."""
    woken_at = core.clock.monotonic()
    with core.store.read():  # raises if the database does not respond
        core.worker.wake()
    while core.worker.idle_tick is None or core.worker.idle_tick < woken_at:
        if core.clock.monotonic() >= until:
            return False
        core.clock.pause(POLL_S)
    return True


def _step_until(core: Core, until: float) -> bool:
    """Step the worker, and unregister it once no run is in flight."""
    if core.worker.state != "stopped":
        raise LifecycleError("the scheduler is stopping")
    left = until - core.clock.monotonic()
    if not core.stepping.acquire(timeout=-1 if left == math.inf else max(0.0, left)):
        return False
    try:
        core.worker.open_resources()
        while core.worker.tick(wait=False).at_once or core.worker.busy:
            if core.clock.monotonic() >= until:
                return False
            core.worker.wait_until_empty(POLL_S)
        if not core.worker.in_flight():  # an abandoned function would still occupy its slot
            core.worker.stop(0)
        return True
    finally:
        core.stepping.release()


@contextmanager
def within(core: Core, environment: Environment) -> Iterator[DoDue]:
    """Use another database, clock and executors for the body of a ``with`` statement.

    This is how `duly.testing` works; tests use that. No thread is started, by `start` either. What
    code declares or registers in the body remains, because a module is imported only once.

    Args:
        environment: the parts to use.

    Returns:
        A context manager. Its value is a function that executes everything that is due now and
        returns when more will be, as far as that is known.

    Raises:
        LifecycleError: the scheduler has been started, or is in another environment.
    """
    with core.within(environment):
        yield lambda: _step(core)


def _step(core: Core) -> datetime | None:
    """Do everything that is due, in whatever queue it is; return when more is due."""
    with core.stepping:
        while True:
            core.worker.open_resources()
            while (wake := core.worker.tick()).at_once:
                pass
            with core.store.read() as conn:
                unserved = runs.waiting_queues(conn) - core.settings.queues.keys()
            if not unserved:
                return wake.work_due
            core.worker.stop(0)
            queues = {**core.settings.queues, **dict.fromkeys(unserved, 1)}
            core.settings = replace(core.settings, queues=queues)
            core.renew_worker()


@contextmanager
def running(core: Core) -> Iterator[None]:
    """Start the scheduler for the body of a ``with`` statement, and stop it afterwards."""
    start(core)
    try:
        yield
    finally:
        stop(core)


def attach(core: Core, loop: asyncio.AbstractEventLoop) -> None:
    """Run coroutine jobs on this event loop until the scheduler stops."""
    core.worker.attach(loop)


def around(core: Core, enter: AroundRun) -> None:
    """Execute every run in this process inside the context manager ``enter(run)``."""
    core.worker.around(enter)


def _refuse_own_loop(core: Core, call: str) -> None:
    loop = _running_loop()
    if loop is not None and core.worker.is_attached_to(loop):
        raise LifecycleError(
            f"{call}() would block the event loop that running jobs need to finish; "
            f"use: await scheduler.aio.{call}()"
        )


def _refuse_own_run(core: Core, call: str) -> None:
    run = core.own_run()
    if run is not None:
        raise LifecycleError(
            f"{call}() was called by run {run.id} of task {run.task!r}, which is executing in this "
            f"process: it would wait for that run, and so for itself; call {call}() outside of jobs"
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
