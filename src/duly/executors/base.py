"""What an executor is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from duly.context import Run, current_run
from duly.hooks import AroundRun


@dataclass(slots=True, eq=False)
class Work:
    """One attempt as an executor sees it.

    Attributes:
        function: what to call.
        arguments: with what, by name.
        run: its context.
        steady: the clock that measures how long the call takes.
        around: context managers to enter around the call.
        text: the arguments as they are stored, for a call in another process.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any]
    run: Run
    steady: Callable[[], float]
    around: Sequence[AroundRun] = ()
    text: str = "{}"

    def surroundings(self) -> Surroundings:
        """The run as the current one, inside everything that belongs around it."""
        return Surroundings(self)


class Surroundings:
    """See `Work.surroundings`; a generator in its place takes three times as long."""

    __slots__ = ("_stack", "_token", "_work")

    def __init__(self, work: Work) -> None:
        self._work = work
        self._stack: ExitStack | None = None

    def __enter__(self) -> None:
        self._token = current_run.set(self._work.run)
        if self._work.around:
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
            for enter in self._work.around:
                stack.enter_context(enter(self._work.run))
            self._stack = stack.pop_all()


class CallResult(NamedTuple):
    """How a call ended: with a value, or with an error; and how many seconds it took."""

    value: Any = None
    error: BaseException | None = None
    seconds: float = 0


Done = Callable[[Work, CallResult], None]


class Executor(Protocol):
    """A place where functions run.

    Attributes:
        interruptible: whether `interrupt` makes a call end soon.
    """

    interruptible: bool

    def submit(self, work: Work, done: Done) -> None:
        """Start a call; ``done`` is called exactly once, from any thread, when it has ended."""

    def interrupt(self, work: Work) -> None:
        """Ask a call to end."""

    def stop(self) -> None:
        """Take no more calls and let threads end once their calls have."""
