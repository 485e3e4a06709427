"""The interface of executors: what they receive, and what they return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol, TypeVar

from duly.context import Run, current_run
from duly.hooks import AroundRun


class Invocation:
    """One invocation of a task's function.

    Args:
        run: the run that the function executes.
        steady: reads the clock that measures how long the invocation takes.
        around: context managers to enter around it.

    Attributes:
        function: what to call; set before the invocation is submitted.
        arguments: its arguments by name.
        text: the arguments as they are stored, for a call in another process.
    """

    __slots__ = ("arguments", "around", "function", "run", "steady", "text")

    function: Callable[..., Any]
    arguments: dict[str, Any]
    text: str

    def __init__(
        self, run: Run, steady: Callable[[], float], around: Sequence[AroundRun] = ()
    ) -> None:
        self.run = run
        self.steady = steady
        self.around = around

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
        if self._invocation.around:
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
            for enter in self._invocation.around:
                stack.enter_context(enter(self._invocation.run))
            self._stack = stack.pop_all()


class CallResult(NamedTuple):
    """How a call ended: with a value or an error, and the seconds that it took."""

    value: Any = None
    error: BaseException | None = None
    seconds: float = 0


I = TypeVar("I", bound=Invocation)  # noqa: E741 - one letter, as type variables are named
Done = Callable[[I, CallResult], None]


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
