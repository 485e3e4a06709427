"""The interface of executors: what they receive, and what they return."""

from __future__ import annotations

import inspect
import threading
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, NamedTuple, Protocol, TypeVar

from duly.context import Run, current_run
from duly.errors import ArgumentsChanged, ArgumentsError, ConfigurationError, PayloadError
from duly.executors.failure import CallError
from duly.hooks import AroundRun
from duly.model.payload import encode_result, not_stored
from duly.model.signature import Signature
from duly.tracing import RunSpan


class Invocation:
    """One invocation of a task's function.

    Args:
        run: the run that the function executes.
        steady: reads the clock that measures how long the invocation takes.
        around: context managers to enter around it.

    Attributes:
        function: what to call; set before the invocation is submitted.
        arguments: returns its arguments by name. It is called where the function is, because
            validating them may run code of the application.
        text: the arguments as they are stored, for a call in another process.
        span: its span, if the application traces.
    """

    __slots__ = ("arguments", "around", "function", "run", "span", "steady", "text")

    function: Callable[..., Any]
    arguments: Callable[[], dict[str, Any]]
    text: str

    def __init__(
        self, run: Run, steady: Callable[[], float], around: Sequence[AroundRun] = ()
    ) -> None:
        self.run = run
        self.steady = steady
        self.around = around
        self.span: RunSpan | None = None

    @property
    def has_outlived_run(self) -> bool:
        """Whether its result is ignored."""
        return False

    def surroundings(self) -> Surroundings:
        """Return a context manager that makes the run the current one and enters ``around``."""
        return Surroundings(self)


class Surroundings:
    """See `Invocation.surroundings`; a generator-based one takes three times as long."""

    __slots__ = ("_invocation", "_stack", "_token")

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._stack: ExitStack | None = None

    def __enter__(self) -> None:
        self._token = current_run.set(self._invocation.run)
        if self._invocation.around or self._invocation.span is not None:
            try:
                self._enter_all()
            except BaseException:
                current_run.reset(self._token)
                raise

    def __exit__(self, *error: Any) -> bool | None:
        try:
            return None if self._stack is None else self._stack.__exit__(*error)
        finally:
            current_run.reset(self._token)

    def _enter_all(self) -> None:
        with ExitStack() as stack:
            if self._invocation.span is not None:
                stack.enter_context(self._invocation.span.current())
            for enter in self._invocation.around:
                stack.enter_context(enter(self._invocation.run))
            self._stack = stack.pop_all()


class CallResult(NamedTuple):
    """How a call ended, as plain values: no object of the application leaves its executor.

    Attributes:
        text: what it returned, as JSON text; ``None`` for ``None``.
        error: how it failed, if it did.
        seconds: how long it took.
    """

    text: str | None = None
    error: CallError | None = None
    seconds: float = 0.0


I = TypeVar("I", bound=Invocation)  # noqa: E741 - one letter, as type variables are named


def result_text(value: Any, run: Run) -> str | None:
    """Return what a run's function returned as JSON text; call it where the function ran.

    It runs code of the application, and never raises.
    """
    if value is None:
        return None
    try:
        return run.secret_values.hide_in_json(encode_result(value))
    except BaseException as problem:  # noqa: BLE001 - a foreign value may even exit
        return not_stored(PayloadError(f"reading the result raised {type(problem).__name__}"))


def refuse_unfinished(value: Any) -> None:
    """Refuse a return value which shows that the function has done nothing.

    Raises:
        ConfigurationError: it is an asynchronous generator.
    """
    if inspect.isasyncgen(value):
        raise ConfigurationError(
            f"the function returned an asynchronous generator ({value.__qualname__}), of which "
            "nothing has run; iterate over it in the function: async for … in …"
        )


def stored_arguments(signature: Signature, text: str, run: Run) -> dict[str, Any]:
    """Return the arguments of a call, with its run for the parameters that ask for it.

    Raises:
        ArgumentsChanged: they do not match the signature any more.
    """
    try:
        arguments = signature.decode(text, run.resolve_secret)
    except ArgumentsError as error:
        raise ArgumentsChanged(f"{error} (stored before the function was changed?)") from error
    for name in signature.injected:
        arguments[name] = run
    return arguments


Done = Callable[[I, CallResult], None]
Entered = tuple[Any, Callable[[], None]]


class Executor(Protocol):
    """A place where functions run.

    Attributes:
        interruptible: whether `interrupt` makes a call end soon.
    """

    interruptible: bool

    def submit(self, invocation: I, done: Done[I]) -> None:
        """Start a call; ``done`` is called exactly once, from any thread, when it has ended."""

    def interrupt(self, invocation: Invocation) -> None:
        """Ask a call to end."""

    def stop(self) -> None:
        """Accept no more calls, and let threads end once their calls have."""


class CoroutineExecutor(Executor, Protocol):
    """An executor of coroutine functions.

    Attributes:
        loop: the event loop in use.
    """

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop in use, if there is one."""

    def attach(self, loop: AbstractEventLoop) -> None:
        """Use the host's loop from now on."""

    def finish(self, awaitable: Awaitable[Any], invocation: Invocation) -> Any:
        """Wait until what a plain function has returned is awaited; return what that gives."""

    def end_unreachable(self, *, stopped: bool = False) -> None:
        """End, as cancelled, the calls that cannot continue because their event loop is closed.

        Args:
            stopped: end those of a loop that is not running, too. If it runs again, they are
                cancelled before they continue.
        """

    def watch(self, now: float) -> None:
        """Ask the event loop for a sign of life while calls wait for it; called periodically.

        Args:
            now: the present, on the steady clock.
        """

    def trouble(self, now: float) -> str | None:
        """Return what is wrong with the event loop: calls wait, and it does not answer."""

    def enter(self, manager: AbstractAsyncContextManager[Any]) -> Entered:
        """Enter a context manager on the loop; return its value, and the function that leaves it.

        Raises:
            LifecycleError: the calling thread runs that loop.
        """


class Executors:
    """The executors of one worker.

    Args:
        functions: calls plain functions.
        coroutines: calls coroutine functions.
        processes: calls plain functions in processes of their own.
        apart: calls the plain functions of process jobs, which take no slot; default: as
            ``functions``.
    """

    def __init__(
        self,
        functions: Executor,
        coroutines: CoroutineExecutor,
        processes: Executor,
        apart: Executor | None = None,
    ) -> None:
        self.functions = functions
        self.coroutines = coroutines
        self.processes = processes
        self.apart = functions if apart is None else apart

    def wait(self, idle: threading.Event, seconds: float) -> None:
        """Wait until ``idle`` is set because all calls have ended, for at most this time."""
        idle.wait(seconds)

    def stop(self) -> None:
        """Stop all of them."""
        self.functions.stop()
        self.apart.stop()
        self.processes.stop()
        self.coroutines.stop()
