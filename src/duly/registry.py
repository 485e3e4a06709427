"""Tasks by name: the only functions that can ever run."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from duly.errors import ConfigurationError, DuplicateTask, UnknownOption, UnknownTask, did_you_mean
from duly.model.checks import choice
from duly.model.policy import TASK_OPTIONS, JobOptions
from duly.model.session_parameters import check_sessions
from duly.model.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")
ExecutorName = Literal["auto", "process"]
SessionFactory = Callable[[], Any]
"""Makes the session of a transactional run: a ``sessionmaker``, Flask-SQLAlchemy's ``db.session``,
an ``async_sessionmaker``, or any function that returns a session."""


@dataclass(frozen=True, slots=True)
class Task:
    """A registered function.

    Attributes:
        name: what the database knows it by.
        options: what its author set; job options win over them.
        is_async: whether it is a coroutine function.
        transactional: whether the engine commits what it does together with its run: ``True``
            with a session of Duly's own, or what makes the session.
        executor: where it runs: ``auto`` (a thread, a coroutine on the event loop) or ``process``.
    """

    name: str
    function: Callable[..., Any]
    signature: Signature = field(compare=False)
    options: Mapping[str, Any]
    is_async: bool
    transactional: bool | SessionFactory = field(default=False, compare=False)
    executor: ExecutorName = "auto"

    @property
    def doc(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def options_over(self, defaults: JobOptions, overrides: Mapping[str, Any]) -> JobOptions:
        """The defaults, then the task's own options, then ``overrides``."""
        held = defaults.with_overrides(self.options, f"for task {self.name!r}")
        return held.with_overrides(overrides, f"for a job of task {self.name!r}")


class TaskFunction(Generic[P, R]):
    """A registered function: calling it is a plain call; `enqueue` makes a durable one.

    Attributes:
        task: how the registry holds it.
        name: the task's name.
    """

    def __init__(self, task: Task, enqueue: Callable[..., str]) -> None:
        self.task = task
        self.name = task.name
        self._enqueue = enqueue
        functools.update_wrapper(self, task.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        held: R = self.task.function(*args, **kwargs)
        return held

    def enqueue(self, **options_and_arguments: Any) -> str:
        """`Scheduler.enqueue` with this task; returns the run's id."""
        return self._enqueue(self.task.name, **options_and_arguments)

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"


class Registry:
    """The tasks of one scheduler."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._lock = threading.Lock()

    def register(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        options: Mapping[str, Any],
        transactional: bool | SessionFactory = False,
        executor: ExecutorName = "auto",
    ) -> Task:
        """Make a function known.

        Args:
            function: a plain or coroutine function with named parameters.
            name: default: the function's own name.
            options: task options, see `JobOptions`.
            transactional: see `Task`.
            executor: see `Task`.

        Raises:
            DuplicateTask: the name belongs to another function.
            UnknownOption: an option that tasks do not have.
            ConfigurationError: not a function, a generator, parameters that cannot be stored, a
                session parameter that does not fit ``transactional``, or a function for a process
                that another process cannot import.
        """
        name = _checked_name(function, name)
        for option in options:
            if option not in TASK_OPTIONS:
                raise UnknownOption(option, TASK_OPTIONS, f"for task {name!r}")
        JobOptions().with_overrides(options, f"for task {name!r}")
        signature, is_async = Signature(function, name), _is_coroutine(function)
        check_sessions(
            name,
            signature.sessions,
            is_async=is_async,
            asks_for_run=bool(signature.injected),
            transactional=transactional,
        )
        choice("auto", "process")("executor", executor)
        task = Task(name, function, signature, dict(options), is_async, transactional, executor)
        if executor == "process":
            _check_process(task)
        with self._lock:
            held = self._tasks.get(name)
            if held is not None and _place(held.function) != _place(function):
                raise DuplicateTask(
                    f"task name {name!r} belongs to {_place(held.function)}; give "
                    f"{_place(function)} another one: name=…"
                )
            self._tasks[name] = task
        return task

    def get(self, name: str) -> Task:
        """The task of that name.

        Raises:
            UnknownTask: nobody registered it here.
        """
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTask(
                f"no task is registered as {name!r}{did_you_mean(name, self._tasks)}"
            ) from None

    def find(self, wanted: str | TaskFunction[..., Any] | Callable[..., Any]) -> Task:
        """The task meant by a name, a decorated function, or the bare function.

        Raises:
            UnknownTask: nobody registered it here.
        """
        if isinstance(wanted, str):
            return self.get(wanted)
        if isinstance(wanted, TaskFunction):
            return self.get(wanted.name)
        for task in list(self._tasks.values()):
            if task.function is wanted:
                return task
        raise UnknownTask(
            f"{_place(wanted)} is not registered; decorate it with @scheduler.task or call "
            "scheduler.task()(function)"
        )

    def tasks(self) -> list[Task]:
        """All tasks, by name."""
        return sorted(self._tasks.values(), key=lambda task: task.name)

    def names(self) -> tuple[str, ...]:
        """All task names, sorted."""
        return tuple(sorted(self._tasks))

    def __contains__(self, name: str) -> bool:
        return name in self._tasks


def _checked_name(function: Callable[..., Any], name: str | None) -> str:
    if not callable(function):
        raise ConfigurationError(f"{function!r} is not a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{_place(function)} is a generator; a task returns once")
    name = name or str(getattr(function, "__name__", ""))
    if not _is_name(name) or name == "<lambda>":
        raise ConfigurationError(
            f"{_place(function)} has no usable name; give one of 1 to 191 printable characters: "
            "name=…"
        )
    return name


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 191 and value.isprintable()


def _check_process(task: Task) -> None:
    """Refuse what cannot run in another process, which finds it by its module and its name."""
    module, name = getattr(task.function, "__module__", None), _qualname(task.function)
    problem = None
    if task.is_async or task.transactional is not False:
        what = "a coroutine function" if task.is_async else "transactional"
        problem = f"is {what}; only plain functions run in a process"
    elif module in (None, "__main__"):
        problem = "is defined in the program that was started; move it into a module"
    elif name is None or "<" in name:
        problem = "is no function at the top of a module, where another process can find it"
    if problem:
        raise ConfigurationError(
            f"task {task.name!r} has executor='process', but {_place(task.function)} {problem}"
        )


def _qualname(function: Any) -> str | None:
    return getattr(function, "__qualname__", None)


def _is_coroutine(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an instance whose __call__ is async
    )


def _place(function: Any) -> str:
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', repr(function))}"
