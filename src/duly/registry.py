"""The registry of tasks, by name: Duly runs no other functions."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

from duly.errors import ConfigurationError, DuplicateTask, UnknownOption, UnknownTask, did_you_mean
from duly.model.checks import choice
from duly.model.policy import TASK_OPTIONS, JobOptions
from duly.model.redefinition import module_execution, replaces
from duly.model.session_parameters import check_sessions
from duly.model.signature import Signature
from duly.model.text import safe_repr

LOCAL = ("auto", "process")
"""The executors of every scheduler, in the worker's own process and in its child processes."""

SessionFactory = Callable[[], Any]
"""Creates the session of a transactional run: a ``sessionmaker``, an ``async_sessionmaker``,
Flask-SQLAlchemy's ``db.session``, or any function that returns a session or a connection of the
driver."""


@dataclass(frozen=True, slots=True)
class Task:
    """A registered function.

    Attributes:
        name: the name under which it is stored in the database.
        options: the options set where the task is defined; a job's options take precedence.
        is_async: whether it is a coroutine function.
        transactional: whether the worker commits what the function does together with its run:
            ``True``, with a session that Duly creates; or a factory of sessions.
        executor: where it runs: ``auto`` (a thread, a coroutine on the event loop), ``process``, or
            the name of one of ``Scheduler(executors=…)``.
        registry: where it was registered: the tasks of a scheduler, or of a group.
        offered: whether a scheduler registers it when it is first used there, because no
            application declares it.
    """

    name: str
    function: Callable[..., Any]
    signature: Signature = field(compare=False)
    options: Mapping[str, Any]
    is_async: bool
    transactional: bool | SessionFactory = field(default=False, compare=False)
    executor: str = "auto"
    registry: Registry | None = field(default=None, compare=False, repr=False)
    offered: bool = False

    @property
    def doc(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def options_over(self, defaults: JobOptions, overrides: Mapping[str, Any]) -> JobOptions:
        """Return ``defaults``, overridden by the task's own options, then by ``overrides``."""
        own = defaults.with_overrides(self.options, f"for task {self.name!r}")
        return own.with_overrides(overrides, f"for a job of task {self.name!r}")


class Registered:
    """A decorated function. Nothing else is taken for one, whatever attributes it has.

    Attributes:
        task: the task that it stands for.
    """

    task: Task


AnyTask = str | Callable[..., Any]
"""A task's name, a decorated function, or the bare function that was decorated."""


class Registry:
    """The tasks of one scheduler.

    Args:
        executors: the names of the scheduler's own executors; ``None``: any name is accepted,
            because the tasks belong to a group, and the scheduler that includes it will check.
    """

    def __init__(self, executors: Collection[str] | None = ()) -> None:
        self._executors = executors
        self._tasks: dict[str, Task] = {}
        self._executions: dict[str, object] = {}
        self._lock = threading.Lock()

    def register(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        options: Mapping[str, Any],
        transactional: bool | SessionFactory = False,
        executor: str = "auto",
    ) -> Task:
        """Register a function as a task.

        Args:
            function: a plain or coroutine function with named parameters.
            name: the name of the task; default: the function's name.
            options: task options, see `JobOptions`.
            transactional: see `Task`.
            executor: see `Task`.

        Raises:
            DuplicateTask: the name belongs to another function, or to the same definition with
                other values, as in a loop. A module that is reloaded, or a notebook cell that is
                run again, replaces its functions.
            UnknownOption: there is no task option of this name.
            ConfigurationError: ``function`` is not a function or is a generator, a parameter cannot
                be stored, a session parameter does not fit ``transactional``, the scheduler has no
                such executor, or it is ``process`` and another process cannot import the function.
        """
        given: Any = function
        if isinstance(given, Registered):  # a task, of whichever scheduler
            function = given.task.function
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
        task = Task(
            name, function, signature, dict(options), is_async, transactional, executor, self
        )
        if executor == "process":
            _check_process(task)
        return self.adopt(task)

    def adopt(self, task: Task) -> Task:
        """Add a task, which may belong to other registries too.

        Raises:
            DuplicateTask: the name belongs to another function.
            ConfigurationError: the scheduler has no such executor.
        """
        name, function = task.name, task.function
        if self._executors is not None:
            choice(*LOCAL, *self._executors)("executor", task.executor)
        with self._lock:
            known = self._tasks.get(name)
            if known is not None and not replaces(function, known.function, self._executions[name]):
                raise DuplicateTask(_duplicate(name, function, known.function))
            self._tasks[name] = task
            self._executions[name] = module_execution(function)
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

    def name_of(self, wanted: AnyTask | None) -> str | None:
        """Return the name of a task that is searched for; only other processes may know a name.

        Raises:
            UnknownTask: a function is not registered.
        """
        return wanted if wanted is None or isinstance(wanted, str) else self.find(wanted).name

    def find(self, wanted: AnyTask) -> Task:
        """Return a task by its name, its decorated function, or the function that was decorated.

        Raises:
            UnknownTask: the name or the function is not registered.
        """
        if isinstance(wanted, str):
            return self.get(wanted)
        function: Any = wanted
        owned = function.task if isinstance(function, Registered) else None
        if owned is not None:
            if self.owns(owned):
                return self.get(owned.name)
            if owned.offered:
                return self.adopt(owned)
            function = owned.function
        for task in list(self._tasks.values()):
            if task.function is function or _is_same_method(task.function, function):
                return task
        if owned is not None:
            raise UnknownTask(
                f"{owned.name!r} is a task of another scheduler; register it with this one "
                "too: scheduler.task()(function)"
            )
        if not callable(function):
            raise UnknownTask(
                f"{safe_repr(wanted, 100)} is not registered, and not a function; give the "
                "function itself, without calling it, and then its arguments: enqueue(send, 7)"
            )
        raise UnknownTask(
            f"{_full_name(wanted)} is not registered; decorate it with @scheduler.task() or call "
            "scheduler.task()(function)"
        )

    def owns(self, task: Task) -> bool:
        """Return whether a task was registered or adopted here, even if a newer one replaced it."""
        known = self._tasks.get(task.name)
        return known is not None and known.registry is task.registry

    def tasks(self) -> list[Task]:
        """Return all tasks, sorted by name."""
        return sorted(self._tasks.values(), key=lambda task: task.name)

    def names(self) -> tuple[str, ...]:
        """Return all task names, sorted."""
        return tuple(sorted(self._tasks))

    def executed_by(self, executors: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the tasks of these executors, sorted."""
        chosen = frozenset(executors)
        return tuple(name for name in self.names() if self._tasks[name].executor in chosen)

    def __contains__(self, name: str) -> bool:
        return name in self._tasks


def _is_same_method(one: Any, other: Any) -> bool:
    """Return whether both are one method of one object; each access creates a new bound method."""
    if not isinstance(one, MethodType) or not isinstance(other, MethodType):
        return False
    return one.__self__ is other.__self__ and one.__func__ is other.__func__


def _duplicate(name: str, new: Any, known: Any) -> str:
    known_place, new_place = _full_name(known), _full_name(new)
    if known_place == new_place:
        return (
            f"task name {name!r} belongs to another function or object that is also called "
            f"{known_place}; only one of them would run. Define it once, with parameters, and give "
            "each of its jobs an id= and args={…}; or give each function a name of its own: "
            "@scheduler.task(name=…)"
        )
    return (
        f"task name {name!r} belongs to {known_place}; give {new_place} another one: "
        "@scheduler.task(name=…)"
    )


def _checked_name(function: Callable[..., Any], name: str | None) -> str:
    if not callable(function):
        raise ConfigurationError(f"{function!r} is not a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{_full_name(function)} is a generator; a task returns once")
    _refuse_method(function)
    name = name or str(getattr(function, "__name__", ""))
    if not _is_name(name) or name == "<lambda>":
        raise ConfigurationError(
            f"{_full_name(function)} has no usable name; give one of 1 to 191 printable "
            "characters: name=…"
        )
    return name


def _refuse_method(function: Callable[..., Any]) -> None:
    """Refuse a function of a class body that needs an object, which no stored call can pass."""
    scope, _, name = str(getattr(function, "__qualname__", "")).rpartition(".")
    code = getattr(function, "__code__", None)
    if not scope or scope.endswith("<locals>") or code is None or inspect.ismethod(function):
        return
    if code.co_varnames[: code.co_argcount][:1] in (("self",), ("cls",)):
        raise ConfigurationError(
            f"{name!r} is a method of {scope}, and a stored call has no object to pass as "
            f"{code.co_varnames[0]!r}; decorate a function outside of the class, or register the "
            f"method of one object: scheduler.task(name=…)(obj.{name})"
        )


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
    if isinstance(function, functools.partial):
        return f"a partial of {_full_name(function.func)}"
    name = getattr(function, "__qualname__", None)
    if name is None:
        kind = type(function)
        return f"an object of {kind.__module__}.{kind.__qualname__}"
    return f"{getattr(function, '__module__', '?')}.{name}"
