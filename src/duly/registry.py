"""The registry of tasks, by name: Duly runs no other functions."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from duly.errors import ConfigurationError, DuplicateTask, UnknownOption, UnknownTask, did_you_mean
from duly.model.checks import choice
from duly.model.policy import TASK_OPTIONS, JobOptions
from duly.model.session_parameters import check_sessions
from duly.model.signature import Signature

ExecutorName = Literal["auto", "process"]
SessionFactory = Callable[[], Any]
"""Creates the session of a transactional run: a ``sessionmaker``, an ``async_sessionmaker``,
Flask-SQLAlchemy's ``db.session``, or any function that returns a session."""


@dataclass(frozen=True, slots=True)
class Task:
    """A registered function.

    Attributes:
        name: the name under which it is stored in the database.
        options: the options set where the task is defined; a job's options take precedence.
        is_async: whether it is a coroutine function.
        transactional: whether the worker commits what the function does together with its run:
            ``True``, with a session that Duly creates; or a factory of sessions.
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
        """Return ``defaults``, overridden by the task's own options, then by ``overrides``."""
        own = defaults.with_overrides(self.options, f"for task {self.name!r}")
        return own.with_overrides(overrides, f"for a job of task {self.name!r}")


AnyTask = str | Callable[..., Any]
"""A task's name, a decorated function, or the bare function that was decorated."""


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
        """Register a function as a task.

        Args:
            function: a plain or coroutine function with named parameters.
            name: the name of the task; default: the function's name.
            options: task options, see `JobOptions`.
            transactional: see `Task`.
            executor: see `Task`.

        Raises:
            DuplicateTask: the name belongs to another function.
            UnknownOption: there is no task option of this name.
            ConfigurationError: ``function`` is not a function or is a generator, a parameter cannot
                be stored, a session parameter does not fit ``transactional``, or the executor is
                ``process`` and another process cannot import the function.
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
        return self.adopt(task)

    def adopt(self, task: Task) -> Task:
        """Add a task, which may belong to other registries too.

        Raises:
            DuplicateTask: the name belongs to another function.
        """
        name, function = task.name, task.function
        with self._lock:
            known = self._tasks.get(name)
            if known is not None and _full_name(known.function) != _full_name(function):
                raise DuplicateTask(
                    f"task name {name!r} belongs to {_full_name(known.function)}; give "
                    f"{_full_name(function)} another one: name=…"
                )
            self._tasks[name] = task
        return task

    def get(self, name: str) -> Task:
        """Return the task with this name.

        Raises:
            UnknownTask: no task is registered under this name.
        """
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTask(
                f"no task is registered as {name!r}{did_you_mean(name, self._tasks)}"
            ) from None

    def find(self, wanted: AnyTask) -> Task:
        """Return a task by its name, its decorated function, or the function that was decorated.

        Raises:
            UnknownTask: the name or the function is not registered.
        """
        if isinstance(wanted, str):
            return self.get(wanted)
        decorated = getattr(wanted, "task", None)
        if isinstance(decorated, Task):
            return self.get(decorated.name)
        for task in list(self._tasks.values()):
            if task.function is wanted:
                return task
        raise UnknownTask(
            f"{_full_name(wanted)} is not registered; decorate it with @scheduler.task() or call "
            "scheduler.task()(function)"
        )

    def tasks(self) -> list[Task]:
        """Return all tasks, sorted by name."""
        return sorted(self._tasks.values(), key=lambda task: task.name)

    def names(self) -> tuple[str, ...]:
        """Return all task names, sorted."""
        return tuple(sorted(self._tasks))

    def __contains__(self, name: str) -> bool:
        return name in self._tasks


def _checked_name(function: Callable[..., Any], name: str | None) -> str:
    if not callable(function):
        raise ConfigurationError(f"{function!r} is not a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{_full_name(function)} is a generator; a task returns once")
    name = name or str(getattr(function, "__name__", ""))
    if not _is_name(name) or name == "<lambda>":
        raise ConfigurationError(
            f"{_full_name(function)} has no usable name; give one of 1 to 191 printable "
            "characters: name=…"
        )
    return name


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 191 and value.isprintable()


def _check_process(task: Task) -> None:
    """Refuse a function that another process cannot import by its module and its name."""
    module = getattr(task.function, "__module__", None)
    name = getattr(task.function, "__qualname__", None)
    problem = None
    if task.is_async or task.transactional is not False:
        kind = "a coroutine function" if task.is_async else "transactional"
        problem = f"is {kind}; only plain functions run in a process"
    elif module in (None, "__main__"):
        problem = "is defined in the program that was started; move it into a module"
    elif name is None or "<" in name:
        problem = "is not a function at the top of a module, where another process can find it"
    if problem:
        raise ConfigurationError(
            f"task {task.name!r} has executor='process', but {_full_name(task.function)} {problem}"
        )


def _is_coroutine(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an instance whose __call__ is async
    )


def _full_name(function: Any) -> str:
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', repr(function))}"
