"""A decorated function, which can still be called, and can also be enqueued."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import (
    Any,
    Generic,
    Literal,
    ParamSpec,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from duly.foreign_names import TASK_CALLS
from duly.misuse import explains_names
from duly.model.actor import Actor
from duly.model.policy import Retry
from duly.registry import Registered, Task
from duly.store.host.session_types import HostSession

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
Unique = Literal["until_start", "until_done"]
"""How long a run holds its unique key."""

Delay = float | timedelta
Args = Mapping[str, Any]
RetryOption = Retry | int | Mapping[str, float] | None


class CallOptions(TypedDict, total=False):
    """The options of `Scheduler.enqueue`, which documents them."""

    delay: Delay | None
    at: datetime | None
    priority: int | None
    queue: str | None
    concurrency_key: str | None
    expires: Delay | None
    retry: RetryOption
    timeout: Delay | None
    owner: str | None
    unique_key: str | None
    unique: Unique
    session: HostSession | None
    actor: str | Actor | None


class TaskCalls(Generic[Q, S]):
    """The calls of one task that are stored: directly, or awaited.

    Args:
        name: the task's name.
        enqueue: stores a call of a task by its name.
    """

    def __init__(self, name: str, enqueue: Callable[..., S]) -> None:
        self.name = name
        self._enqueue = enqueue

    @overload
    def enqueue(self, *args: Q.args, **arguments: Q.kwargs) -> S: ...
    @overload
    def enqueue(self, *, args: Args, **options: Unpack[CallOptions]) -> S: ...
    @overload
    def enqueue(self, *positional: Any, delay: Delay | None, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, at: datetime | None, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, priority: int | None, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, queue: str | None, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, concurrency_key: str | None, **more: Any) -> S: ...
    @overload
    def enqueue(
        self, *positional: Any, unique_key: str | None, unique: Unique = ..., **more: Any
    ) -> S: ...
    @overload
    def enqueue(self, *positional: Any, session: HostSession | None, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, expires: Delay | None, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, retry: RetryOption, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, timeout: Delay | None, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, actor: str | Actor | None, **more: Any) -> S: ...
    @overload
    def enqueue(self, *positional: Any, owner: str | None, **more: Any) -> S: ...
    def enqueue(self, *args: Any, **options_and_arguments: Any) -> S:
        """Enqueue one call of this task; see `Scheduler.enqueue` for the options.

        Returns:
            The run's id; from `TaskFunction.aio`, a coroutine that returns it.
        """
        return self._enqueue(self.name, *args, **options_and_arguments)


@explains_names(TASK_CALLS, "task {name}")
class TaskFunction(TaskCalls[Q, str], Registered, Generic[P, Q, R]):
    """A registered function: call it as usual, or enqueue a durable call of it.

    ``P`` are the parameters of the function; ``Q`` are those that a caller of `enqueue` passes,
    without the `Run` and the session that Duly supplies.

    Attributes:
        task: the task in the registry.
        name: the task's name.
        aio: the awaitable form of `enqueue`, for coroutines: ``await send.aio.enqueue(order=3)``.
    """

    aio: TaskCalls[Q, Coroutine[Any, Any, str]]

    def __init__(
        self,
        task: Task,
        enqueue: Callable[..., str],
        awaitable: Callable[..., Coroutine[Any, Any, str]],
    ) -> None:
        function = task.function
        functools.update_wrapper(self, function, updated=())
        # A callable object's attributes must not hide those of this class.
        own = {"task", "name", "aio", "_enqueue", *dir(type(self))}
        attributes = getattr(function, "__dict__", {})
        vars(self).update((key, value) for key, value in attributes.items() if key not in own)
        super().__init__(task.name, enqueue)
        self.task = task
        self.aio = TaskCalls(task.name, awaitable)
        if task.is_async:
            _mark_as_coroutine_function(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        result: R = self.task.function(*args, **kwargs)
        return result

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"


def _mark_as_coroutine_function(instance: Any, function: Any) -> None:
    """Let ``inspect.iscoroutinefunction`` return true for an instance."""
    if hasattr(inspect, "markcoroutinefunction"):  # since Python 3.12
        inspect.markcoroutinefunction(instance)
        return
    instance.__code__ = _CODE
    instance.__defaults__ = instance.__kwdefaults__ = None


async def _coroutine_function() -> None:
    """Has the code that `inspect` looks at in Python 3.11."""


_CODE = _coroutine_function.__code__
