"""Waiting for a run: until it has finished, or for a limited time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from duly.context import current_run
from duly.errors import LifecycleError
from duly.model.checks import LATEST, SECONDS, optional
from duly.model.run import RunRecord
from duly.operations.core import Core
from duly.operations.runs import await_beside, run

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.25
R = TypeVar("R")
Hop = Callable[[Callable[[], R]], Awaitable[R]]
"""Calls a function in a thread."""


def wait(core: Core, run_id: str, *, timeout: float | None = None) -> RunRecord:
    """Wait until a run has finished, wherever it is executed, and return it.

    The awaitable form occupies no thread while it waits. A run that has failed is returned like
    any other: see `RunRecord.state`. A run that waits for another one occupies its slot meanwhile.
    In a test, and where the worker is stepped by `tick`, the call executes what is due, and raises
    if the run is due later.

    Args:
        run_id: the run's id, as `enqueue` returns it.
        timeout: seconds after which the call gives up; ``None``: no limit.

    Raises:
        TimeoutError: the run has not finished in time; it is not affected.
        RunNotFound: the run does not exist.
        LifecycleError: a run waits for itself, or a transactional function holds the database's
            only write lock.
        ConfigurationError: ``timeout`` is negative.
    """
    limit = _checked(core, run_id, timeout)
    if core.steps_itself:
        return _step(core, run_id, limit)
    unset = threading.Event()
    for pause in _pauses(core, limit):
        record = run(core, run_id)
        if record.is_terminal:
            return record
        core.clock.wait(unset, pause)
    return _finished(run(core, run_id), limit)


async def wait_async(
    core: Core,
    hop: Hop[RunRecord],
    run_id: str,
    *,
    timeout: float | None = None,  # noqa: ASYNC109 - as in `wait`
) -> RunRecord:
    """See `wait`; between two queries no thread is occupied."""
    limit = _checked(core, run_id, timeout)
    if core.steps_itself:
        return await hop(lambda: _step(core, run_id, limit))
    for pause in _pauses(core, limit):
        record = await hop(lambda: run(core, run_id))
        if record.is_terminal:
            return record
        await asyncio.sleep(pause)
    return _finished(await hop(lambda: run(core, run_id)), limit)


def _checked(core: Core, run_id: str, timeout: float | None) -> float | None:
    limit: float | None = optional(SECONDS)("timeout", timeout)
    core.refuse_deadlock()
    executing = current_run.get()
    if executing is not None and executing.id == run_id:
        raise LifecycleError(f"run {run_id} would wait for itself")
    return limit


def _pauses(core: Core, limit: float | None) -> Iterator[float]:
    """Yield the seconds to pause between two queries, until the time is up."""
    began, pause = core.clock.monotonic(), FIRST_PAUSE_S
    while True:
        left = LONGEST_PAUSE_S
        if limit is not None:
            left = limit - (core.clock.monotonic() - began)
            if left <= 0:
                return
        yield min(pause, left)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


def _step(core: Core, run_id: str, limit: float | None) -> RunRecord:
    """Execute what is due: the worker has no loop that would do it."""
    if core.own_run() is not None:
        until = LATEST if limit is None else core.store.time.now() + timedelta(seconds=limit)
        return _finished(await_beside(core, run_id, until), limit)
    with core.stepping:
        core.worker.open_resources()
        while core.worker.tick().at_once:
            pass
    return _finished(run(core, run_id), limit)


def _finished(record: RunRecord, limit: float | None) -> RunRecord:
    if record.is_terminal:
        return record
    waited = "" if limit is None else f" after {limit:g} s"
    raise TimeoutError(
        f"run {record.id} of {record.task!r} is {record.state}{waited}, due at "
        f"{record.due_at:%Y-%m-%d %H:%M:%S} UTC"
    )
