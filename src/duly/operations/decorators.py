"""The types of decorators: the parameters of a decorated function when it is called or enqueued.

Callers do not pass the parameters that Duly supplies: the `Run` and the session. If one of them is
the first parameter, the others keep their names and types. If it is the last, Python's type system
loses the names of the others, and arguments are only checked at run time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, TypeVarTuple, overload

from duly.context import Run
from duly.operations.task_function import TaskFunction
from duly.store.host.session_types import OrmAsyncSession, OrmSession

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class TaskDecorator(Protocol):
    """A decorator that turns a function into a `TaskFunction`, and leaves one unchanged."""

    # A TaskFunction is a function too, so the second and later forms would fit it as well.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: TaskFunction[P, Q, R], /
    ) -> TaskFunction[P, Q, R]: ...
    @overload
    def __call__(self, function: Callable[[*Ts, Run], R], /) -> TaskFunction[..., ..., R]: ...
    @overload
    def __call__(
        self, function: Callable[[*Ts, OrmSession], R], /
    ) -> TaskFunction[..., ..., R]: ...
    @overload
    def __call__(
        self, function: Callable[[*Ts, OrmAsyncSession], R], /
    ) -> TaskFunction[..., ..., R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Run, P], R], /
    ) -> TaskFunction[Concatenate[Run, P], P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[OrmSession, P], R], /
    ) -> TaskFunction[Concatenate[OrmSession, P], P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[OrmAsyncSession, P], R], /
    ) -> TaskFunction[Concatenate[OrmAsyncSession, P], P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> TaskFunction[P, P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> TaskFunction[..., ..., Any]:
        """Register the function, or return it unchanged if it is a task already."""
