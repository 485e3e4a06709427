"""The scheduler's life inside a host process."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from duly.errors import DatabaseUnavailable, LifecycleError
from duly.executors import inside
from duly.hooks import AroundRun, Listener
from duly.model.checks import SECONDS, optional
from duly.model.step import OutcomeCounter, Step
from duly.operations.core import Wiring
from duly.worker.loop import State

log = logging.getLogger("duly")
LOOK_EVERY = 0.05


class Living(Wiring):
    """Starting, stepping and stopping."""

    @property
    def state(self) -> State:
        """What the engine of this process does: stopped, starting, running or stopping."""
        return self._engine.state

    @property
    def worker_id(self) -> str | None:
        """The id of this process's worker, as `status`, runs and events name it.

        ``None`` before the first step and after a stop. A worker that lost its lease registers
        anew under another id.
        """
        return self._engine.lease.worker_id or None

    def in_flight(self) -> list[str]:
        """The ids of the runs that occupy this process: claimed here, and not yet returned.

        That includes a run that still waits for a free slot, and one that is already finished in
        the database (cancelled or timed out) while its function keeps running.
        """
        return [attempt.claim.id for attempt in self._engine.execution.in_flight.all()]

    def take_part(self, *, queues: Mapping[str, int] | None = None, fires: bool = True) -> None:
        """Say how this process takes part, where that differs from how the scheduler was made.

        Args:
            queues: how many runs of each queue it executes at once; default: as it was made.
            fires: whether it fires jobs; if not, another process must.

        Raises:
            ConfigurationError: no queue, or a count that is less than one.
            LifecycleError: it takes part already.
        """
        held = self._engine
        if held.state != "stopped" or held.lease.alive:
            raise LifecycleError("take_part() comes before start() and tick(), or after stop()")
        wanted = self.settings.queues if queues is None else dict(queues)
        self.settings = replace(self.settings, queues=wanted, fires=fires)
        self._renew_engine()

    def start(self) -> None:
        """Start firing and executing in this process; does nothing when that runs already.

        A database that is away does not stop the host: the scheduler tries again until it
        answers, and `health` says so (``Scheduler(start="required")`` raises instead).
        Nothing starts in a process that executes functions for another: ``executor="process"``.

        Raises:
            SchemaTooNew: a newer Duly wrote the tables.
            ConfigurationError: an SQLite file on a network file system.
            DatabaseUnavailable: only with ``start="required"``.
        """
        if self._engine.state in ("running", "starting") or inside.inside():
            return
        loop = _running_loop()
        if loop is not None:
            self.attach(loop)
        try:
            self.prepare()
        except DatabaseUnavailable as error:
            if self.settings.required:
                raise
            log.error("%s; the scheduler starts as soon as it does", error)
        self._engine.start()

    def stop(self, grace: float | None = None) -> None:
        """Stop: take no more runs, wait, cancel, give back what did not finish, leave.

        Args:
            grace: seconds to wait for running functions; default: the scheduler's own.

        Raises:
            LifecycleError: called on the event loop that its coroutines need to finish.
        """
        self._refuse_own_loop("stop")
        self._engine.stop(self.settings.grace if grace is None else grace)
        self._notifier.settle()
        self.store.dispose()

    def skip_grace(self) -> None:
        """Let a stop that waits for running functions wait no more: they are given back.

        Callable from any thread, and from a signal handler.
        """
        self._engine.shutdown.skip_grace.set()

    def wake(self) -> None:
        """Let the engine of this process look at the database now."""
        self._engine.wake()

    def tick(self, *, wait: bool = True) -> bool:
        """Fire what is due, execute it and write back the results. For tests and frozen platforms.

        Steps are taken one at a time: a call waits until another thread's has returned.

        Args:
            wait: whether to wait until the runs started here have finished. If not, they keep
                running in the background, and the next call writes back what has finished.

        Returns:
            Whether runs are still executing here, or have finished and are not yet written back.

        Raises:
            LifecycleError: the engine runs already, or coroutines would block their own loop.
        """
        if self._engine.state != "stopped":
            raise LifecycleError("the scheduler has been started and steps itself")
        self._refuse_own_loop("tick")
        with self._stepping:
            while self._engine.tick(wait=wait).at_once:
                pass
            return self._engine.busy

    def _refuse_own_loop(self, call: str) -> None:
        loop = _running_loop()
        if loop is not None and loop is self._engine.execution.coroutines.loop:
            raise LifecycleError(
                f"{call}() would block the event loop that running jobs need to finish; "
                f"use: await scheduler.aio.{call}()"
            )

    def run_due(self, *, wait: float | None = 20) -> Step:
        """Do what is due now, and say what became of it: for platforms that freeze idle processes.

        Where the engine of this process runs it is woken, and waited for. Else this call does its
        work; when nothing is left to do the worker leaves, so that nobody takes it for dead.

        Args:
            wait: seconds after which it returns in any case. What is still executed then goes on
                as long as the platform lets it; a worker that is frozen longer than its lease
                loses it, and the run is started again. ``None``: until all is done.

        Raises:
            ConfigurationError: ``wait`` is negative.
            DatabaseUnavailable: the database does not answer.
            LifecycleError: the engine is stopping, or coroutines would block their own loop.
        """
        limit = optional(SECONDS)("wait", wait)
        self._refuse_own_loop("run_due")
        until = math.inf if limit is None else self.clock.monotonic() + limit
        counter = OutcomeCounter()
        with self._listeners.hearing(counter):
            started = self._engine.state in ("starting", "running")
            complete = self._await_rest(until) if started else self._step_until(until)
        return Step(complete, counter.counts())

    def _await_rest(self, until: float) -> bool:
        """Wait until the running engine has looked at the database and left nothing to do."""
        asked = self.clock.monotonic()
        with self.store.read():  # it answers, or the caller hears why not
            self._engine.wake()
        while self._engine.idle_tick is None or self._engine.idle_tick < asked:
            if self.clock.monotonic() >= until:
                return False
            self.clock.pause(LOOK_EVERY)
        return True

    def _step_until(self, until: float) -> bool:
        """Step the engine, and let the worker leave once nothing is on its way."""
        if self._engine.state != "stopped":
            raise LifecycleError("the scheduler is stopping")
        left = until - self.clock.monotonic()
        if not self._stepping.acquire(timeout=-1 if left == math.inf else max(0.0, left)):
            return False
        try:
            in_flight = self._engine.execution.in_flight
            while self._engine.tick(wait=False).at_once or self._engine.busy:
                if self.clock.monotonic() >= until:
                    return False
                in_flight.empty.wait(LOOK_EVERY)
            if not in_flight:  # a function that was abandoned at its timeout still holds its place
                self._engine.stop(0)
            return True
        finally:
            self._stepping.release()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Started inside the ``with``, stopped after it."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """The scheduler's life as an ASGI lifespan: ``FastAPI(lifespan=scheduler.lifespan)``.

        Coroutine jobs run on the application's own event loop.

        Args:
            app: where it has a ``state``, as Starlette and FastAPI applications do, the scheduler
                is found there as ``app.state.duly``.
        """
        if hasattr(app, "state"):
            app.state.duly = self
        self.attach(asyncio.get_running_loop())
        await asyncio.to_thread(self.start)
        try:
            yield
        finally:
            await asyncio.to_thread(self.stop)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run coroutine jobs on this event loop until the scheduler stops."""
        self._engine.execution.coroutines.attach(loop)

    def on(self, kind: str, listener: Listener) -> None:
        """Call ``listener(event)`` after each commit of this process that made an event true.

        Args:
            kind: for example ``"run.failed"``; ``"*"`` for every kind.
            listener: whatever it raises is logged and breaks nothing.

        Raises:
            UnknownOption: no event is of that kind.
        """
        self._listeners.add(kind, listener)

    def around(self, enter: AroundRun) -> None:
        """Enter ``enter(run)``, a context manager, around every run executed here."""
        self._engine.execution.around.append(enter)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
