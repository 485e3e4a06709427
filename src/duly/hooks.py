"""Types that lower layers use, and that higher layers or the host application implement."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

Listener = Callable[[Any], object]
"""A function called with an `Event` after its transaction has committed; its errors are logged."""

AroundRun = Callable[[Any], AbstractContextManager[Any]]
"""A function called with the `Run`, which returns a context manager for the call of its task."""


class Observer(Protocol):
    """What a worker reports of its work, so that it can be measured.

    The methods are called from any thread, with every run; they must be quick and must not raise.
    """

    def attempt_started(self, claim: Any, now: datetime) -> None:
        """An attempt begins.

        Args:
            claim: the `Claim` of its run.
            now: the present.
        """

    def attempt_ended(self, claim: Any, result: Any) -> None:
        """The function of an attempt has ended, or could not be called.

        Args:
            claim: the `Claim` of its run.
            result: the `CallResult`.
        """

    def step_ended(self, seconds: float) -> None:
        """A step of the worker has succeeded.

        Args:
            seconds: how long it took.
        """


class HandOff(NamedTuple):
    """A run that is handed to an executor outside of this process.

    Attributes:
        run_id: the run.
        token: the run's token at the hand-off. The run starts only while it has this token, so a
            message that is late or doubled starts nothing.
        timeout: the seconds after which the run will be stopped, if it has a timeout.
    """

    run_id: str
    token: int
    timeout: float | None


class RemoteSite(Protocol):
    """What a `RemoteExecutor` calls in the processes that execute what was handed over."""

    @property
    def name(self) -> str:
        """The scheduler's name."""

    def execute(self, run_id: str, token: int, *, alone: bool = False) -> bool:
        """Execute a run that was handed over, and return when its function has ended.

        Args:
            run_id: the run, as in its `HandOff`.
            token: its token, as in its `HandOff`.
            alone: whether this process executes one run at a time, on its main thread, and may be
                killed to end a function.

        Returns:
            Whether it was executed; if not, nothing has happened, and there is nothing to do.
        """

    def leave(self) -> None:
        """Sign this process off, because it will execute nothing more."""


class RemoteExecutor(Protocol):
    """Hands runs to the workers of another system, which call `RemoteSite.execute`.

    Attributes:
        queues: the queues whose runs are all handed over.
        window: the number of runs of each queue that are handed over and have not started.
        resend: seconds after which a run that has not started is handed over again.
    """

    @property
    def queues(self) -> Collection[str]:
        """See above."""

    @property
    def window(self) -> int:
        """See above."""

    @property
    def resend(self) -> float:
        """See above."""

    def connect(self, site: RemoteSite) -> None:
        """Receive the scheduler's side; called once, when the scheduler is created."""

    def send(self, hand_offs: Sequence[HandOff]) -> None:
        """Send a message for each run.

        Raises:
            ExecutorUnavailable: the other system cannot be reached.
        """


class Injected:
    """Base class of the types that a task's function can ask for by annotation."""
