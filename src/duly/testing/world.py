"""A world of one test: its scheduler, its clock, and the ways to let things happen."""

from __future__ import annotations

import asyncio
import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any

from duly.clock import SystemClock, VirtualClock, aware_utc
from duly.errors import ArgumentsError, ConfigurationError, LifecycleError
from duly.model import payload
from duly.model.run import RunRecord
from duly.operations.environment import DoDue, Environment
from duly.registry import AnyTask, Task
from duly.scheduler import Scheduler
from duly.testing.databases import shared_store, temporary_store
from duly.testing.executors import SteppedExecutors
from duly.testing.failures import Failures

MANY_STEPS = 1000
"""The number of due times on the way of one `World.advance` after which a warning names the job."""

UNITS = ("milliseconds", "seconds", "minutes", "hours", "days", "weeks")

_worlds: list[World]
_worlds = []
"""The worlds of the current test, the innermost last."""


@contextmanager
def testing(
    scheduler: Scheduler, *, at: str | datetime | None = None, database: str | None = None
) -> Iterator[World]:
    """Give a scheduler a database and a virtual clock for the body of a ``with`` statement.

    Everything that refers to the scheduler uses them: tasks, endpoints, other modules. No thread is
    started; ``start``, a lifespan and ``init_app`` only store what code declares. Runs are executed
    by `World.advance` and `World.drain`, one after another, in the thread that calls them, and
    failures of functions are raised there. Pings are not sent.

    Args:
        scheduler: the application's scheduler, which must not have been started.
        at: when the test begins: an aware datetime, or text such as ``2026-03-08T06:55Z``; default:
            the present.
        database: the URL of the application's test database, for tests in which ``session=``
            passes the application's own session. Duly's tables in it are created, and emptied when
            the block begins. Default: a temporary SQLite database.

    Raises:
        LifecycleError: the scheduler has been started, or `testing` is active for it already.
        ConfigurationError: ``at`` cannot be read, or the database holds jobs or runs that no test
            has stored.
        NaiveDatetimeError: ``at`` has no time zone.
    """
    clock = VirtualClock(SystemClock().now() if at is None else _instant(at, "at"))
    schema = scheduler.settings.schema
    opened = temporary_store(clock) if database is None else shared_store(database, clock, schema)
    failures = Failures()
    executors = SteppedExecutors(failures)
    with opened as store:
        try:
            with scheduler.within(Environment(store, clock, executors, failures)) as do_due:
                scheduler.prepare()
                world = World(scheduler, clock, failures, do_due)
                _worlds.append(world)
                try:
                    yield world
                finally:
                    _worlds.remove(world)
                failures.raise_first()
        finally:
            executors.close()


testing.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


class World:
    """What a test does with time, and what it can ask; made by `testing`.

    A function takes no time, unless it advances `clock` itself, as a fake of a slow service may do.
    A ``timeout`` acts on that clock, after the function has returned. ``time.sleep`` and
    ``asyncio.sleep`` take real time, which the clock ignores.

    Attributes:
        scheduler: the scheduler.
        clock: the scheduler's clock.
        aio: `advance` and `drain` as awaitables, for asynchronous tests.
    """

    def __init__(
        self, scheduler: Scheduler, clock: VirtualClock, failures: Failures, do_due: DoDue
    ) -> None:
        self.scheduler = scheduler
        self.clock = clock
        self.aio = AioWorld(self)
        self._failures = failures
        self._do_due = do_due
        self._busy = False

    def now(self) -> datetime:
        """Return the time of the test, aware UTC."""
        return self.clock.now()

    def advance(
        self,
        seconds: float | timedelta = 0.0,
        *,
        to: str | datetime | None = None,
        **units: float,
    ) -> None:
        """Let time pass, and execute everything that is due on the way, in order, at its time.

        Args:
            seconds: how long, in seconds or as a timedelta.
            to: or until when: an aware datetime, or text such as ``2026-03-08T06:55Z``.
            units: further units of `timedelta`: ``minutes``, ``hours``, ``days``.

        Raises:
            Exception: what a function has raised, unless the test is `expecting` it; time then
                stands at the run that failed. `RunFailed` for a run that failed without an
                exception, such as a timeout.
            ConfigurationError: the time would go back, or a unit does not exist.
            LifecycleError: it was called on an event loop, or by a function that it executes.
        """
        target = self.now() + _duration(seconds, units)
        target = target if to is None else _instant(to, "to")
        if target < self.now():
            raise ConfigurationError(f"advance() would go back from {self.now()} to {target}")
        self._execute(target)

    def drain(self) -> None:
        """Execute everything that is due now, and what that enqueues, without letting time pass.

        Raises:
            Exception: see `advance`.
        """
        self._execute(self.now())

    def enqueued(self, task: AnyTask | None = None) -> list[RunRecord]:
        """Return the runs that wait to start, now or later, oldest first.

        Args:
            task: only runs of this task.
        """
        name = None if task is None else self.scheduler.registry.find(task).name
        found = self.scheduler.runs(task=name, state=["scheduled", "ready"], limit=1000)
        return found[::-1]

    def assert_enqueued(self, task: AnyTask, *, args: Mapping[str, Any] | None = None) -> RunRecord:
        """Return the first run of a task that waits to start; fail the test if there is none.

        Args:
            task: the task.
            args: the arguments that it must have; others may have any value.
        """
        __tracebackhide__ = True
        registered, waiting = self.scheduler.registry.find(task), self.enqueued(task)
        for run in waiting:
            if _matches(registered, run, args or {}):
                return run
        wanted = f" with {dict(args)}" if args else ""
        others = [f"{run.task} with {run.args}" for run in waiting or self.enqueued()]
        raise AssertionError(
            f"no run of {registered.name!r}{wanted} is enqueued; enqueued: "
            f"{'; '.join(others) or 'nothing'}"
        )

    def expecting(
        self, *errors: type[BaseException]
    ) -> AbstractContextManager[list[BaseException]]:
        """Expect failures: ``with world.expecting(GatewayDown): world.drain()``.

        Every failed attempt is a failure, whether or not the run is retried. In the body of the
        ``with`` statement, failures of these types are not raised; the body must cause at least
        one.

        Args:
            errors: types of exceptions; default: `Exception`. `RunFailed` for timeouts.

        Returns:
            A context manager; its value is the list of what was raised.
        """
        return self._failures.expecting(*errors)

    def _execute(self, target: datetime) -> None:
        _refuse_loop()
        if self._busy:
            raise LifecycleError(
                "a function that this test executes called advance() or drain(); to let time pass "
                "inside a run, call world.clock.advance()"
            )
        self._busy = True
        try:
            due = self._do_now()
            steps = itertools.count(1)
            while due is not None and due <= target:
                if next(steps) == MANY_STEPS:
                    self._warn_of_many_steps(target)
                self.clock.set(max(due, self.now()))
                due = self._do_now()
            if self.now() < target:
                self.clock.set(target)
                self._do_now()
        finally:
            self._busy = False

    def _warn_of_many_steps(self, target: datetime) -> None:
        runs = Counter(run.job_id or run.task for run in self.scheduler.runs(limit=MANY_STEPS))
        for most, _count in runs.most_common(1):
            warnings.warn(
                f"advance() has stopped at {MANY_STEPS:,} due times and is at {self.now()} on its "
                f"way to {target}; most of them belong to {most!r}. Each takes a few milliseconds. "
                f"If the test is not about that job, begin it with scheduler.pause({most!r})",
                stacklevel=4,
            )

    def _do_now(self) -> datetime | None:
        try:
            return self._do_due()
        finally:
            self._failures.raise_first()


class AioWorld:
    """`World.advance` and `World.drain` for asynchronous tests.

    Coroutine functions run on the event loop of the test.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def advance(
        self,
        seconds: float | timedelta = 0.0,
        *,
        to: str | datetime | None = None,
        **units: float,
    ) -> None:
        """See `World.advance`."""
        await self._hop(lambda: self._world.advance(seconds, to=to, **units))

    async def drain(self) -> None:
        """See `World.drain`."""
        await self._hop(self._world.drain)

    async def _hop(self, call: Callable[[], None]) -> None:
        self._world.scheduler.attach(asyncio.get_running_loop())
        await asyncio.to_thread(call)


def enqueued(task: AnyTask | None = None) -> list[RunRecord]:
    """Return the runs that wait to start in the current test; see `World.enqueued`."""
    return _world_of(task).enqueued(task)


def assert_enqueued(task: AnyTask, *, args: Mapping[str, Any] | None = None) -> RunRecord:
    """Fail the current test unless a call is enqueued; see `World.assert_enqueued`."""
    __tracebackhide__ = True
    return _world_of(task).assert_enqueued(task, args=args)


def _world_of(task: AnyTask | None) -> World:
    """Return the innermost world, or the innermost one whose scheduler has this very task."""
    if not _worlds:
        raise LifecycleError(
            "no test is active; call this inside: with testing(scheduler) as world: …"
        )
    own = getattr(task, "task", None)
    found = [world for world in _worlds if own in world.scheduler.registry.tasks()]
    return (found or _worlds)[-1]


def _matches(task: Task, run: RunRecord, args: Mapping[str, Any]) -> bool:
    try:
        actual = task.signature.decode(payload.encode(run.args))
    except ArgumentsError:
        actual = run.args
    return all(name in actual and actual[name] == value for name, value in args.items())


def _duration(seconds: float | timedelta, units: Mapping[str, float]) -> timedelta:
    for unit in units:
        if unit not in UNITS:
            raise ConfigurationError(f"advance({unit}=…) has no such unit; known: {UNITS}")
    base = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
    return base + timedelta(**units)


def _instant(value: str | datetime, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ConfigurationError(
            f"{name}={value!r} is not an instant; give for example '2026-03-08T06:55Z'"
        ) from error
    return aware_utc(moment, f"{name}=")


def _refuse_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise LifecycleError(
        "advance() and drain() would block the running event loop; in an asynchronous test write: "
        "await world.aio.advance(…)"
    )
