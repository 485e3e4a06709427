"""Groups of tasks and jobs, declared in modules that import no scheduler."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Unpack, cast

from duly.errors import ConfigurationError, LifecycleError
from duly.model.job import check_tags
from duly.model.policy import (
    PROCESS_OPTIONS,
    TASK_OPTIONS,
    JobOptionFields,
    JobOptions,
    Scope,
    TaskOptionFields,
)
from duly.operations import declare
from duly.operations.core import Core
from duly.operations.decorators import TaskDecorator
from duly.operations.enqueue import AwaitableEnqueue, DirectEnqueue
from duly.operations.task_function import TaskFunction
from duly.registry import Registry, SessionFactory
from duly.triggers import Trigger
from duly.triggers.dependency import Outcome

Declaration = Callable[[Core], object]


class JobGroup:
    """Tasks and jobs that are declared apart from a scheduler: ``jobs = JobGroup()``.

    A module declares them with ``@jobs.task(…)`` and ``@jobs.job(…)``; the module that has the
    scheduler calls ``scheduler.include(billing.jobs)``. So neither has to import the other's
    names. What is declared after that is included at once.

    Several schedulers may include one group: each has these tasks and jobs. Then the function's own
    ``send.enqueue(…)`` is refused, because it cannot tell which one is meant; call
    ``scheduler.enqueue(send, …)``.

    Args:
        tags: labels for every job of the group, besides its own.
        options: defaults for every task and job of the group, such as ``queue`` or ``retry``: see
            `JobOptions`. They take precedence over ``Scheduler(defaults=…)``, and the options of a
            task or job over them.

    Raises:
        UnknownOption: there is no option of this name.
        ConfigurationError: an option or a tag is not valid.
    """

    def __init__(self, *, tags: Sequence[str] = (), **options: Unpack[JobOptionFields]) -> None:
        JobOptions().with_overrides(options, "for a JobGroup")
        self._tags = check_tags(tags)
        self._options: Mapping[str, Any] = options
        self._registry = Registry(executors=None)
        self._declarations: list[Declaration] = []
        self._cores: weakref.WeakSet[Core] = weakref.WeakSet()

    def task(
        self,
        name: str | None = None,
        *,
        transactional: bool | SessionFactory = False,
        executor: str = "auto",
        **options: Unpack[TaskOptionFields],
    ) -> TaskDecorator:
        """Declare the decorated function as a task of this group; see `Scheduler.task`.

        Args:
            name: see `Scheduler.task`; this and the next two.
            transactional: see `Scheduler.task`.
            executor: see `Scheduler.task`.
            options: override those of the group.

        Returns:
            A decorator. The decorated function can still be called as before, and enqueued once a
            scheduler has included the group.

        Raises:
            DuplicateTask: the name belongs to another function.
            UnknownOption: there is no task option of this name.
            ConfigurationError: the function, a parameter or an option is not valid.
        """
        if callable(name):
            raise ConfigurationError("write @jobs.task(), with parentheses")
        defaults = {key: self._options[key] for key in TASK_OPTIONS & self._options.keys()}

        def register(function: Callable[..., Any]) -> TaskFunction[..., ..., Any]:
            task = self._registry.register(
                function, name=name, options={**defaults, **options},
                transactional=transactional, executor=executor,
            )  # fmt: skip
            self._declare(lambda core: core.registry.adopt(task))
            return TaskFunction(task, self._enqueue, self._enqueue_awaitable)

        return cast(TaskDecorator, register)

    def job(
        self,
        trigger: Trigger | None = None,
        *,
        after: Sequence[str] | None = None,
        on: Outcome | None = None,
        id: str | None = None,
        args: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        paused: bool | str = False,
        scope: Scope = "shared",
        transactional: bool | SessionFactory = False,
        executor: str = "auto",
        **options: Unpack[JobOptionFields],
    ) -> TaskDecorator:
        """Declare a job of this group: ``@jobs.job(cron("0 9 * * 1-5"))``; see `Scheduler.job`.

        Args:
            trigger: see `Scheduler.job`; this and the next eight.
            after: see `Scheduler.job`.
            on: see `Scheduler.job`.
            id: see `Scheduler.job`.
            args: see `Scheduler.job`.
            tags: labels for this job, besides those of the group.
            paused: see `Scheduler.job`.
            scope: see `Scheduler.job`; of the group's own options, those apply that a job with
                ``scope="process"`` can have, and its tags do not.
            transactional: see `Scheduler.job`.
            executor: see `Scheduler.job`.
            options: override those of the group.

        Returns:
            A decorator.

        Raises:
            ArgumentsError: when it is included: ``args`` do not match the function's signature.
            ConfigurationError: the declaration is not valid; some mistakes are found when it is
                included.
            UnknownOption: there is no option of this name.
        """
        if callable(trigger):
            raise ConfigurationError(
                "write @jobs.job(…) with a trigger, such as @jobs.job(cron('0 9 * * *')); "
                "@jobs.task() declares a function without a schedule"
            )
        if trigger is not None and not isinstance(trigger, Trigger):
            raise ConfigurationError(
                f"@jobs.job({trigger!r}) is not valid; give a trigger, such as every(hours=1)"
            )
        JobOptions().with_overrides(options, "for a job of a JobGroup")
        own = {key: value for key, value in self._options.items() if key not in TASK_OPTIONS}
        if scope == "process":
            own = {key: value for key, value in own.items() if key in PROCESS_OPTIONS}
        chosen: Any = {**own, **options}
        all_tags = (*(() if scope == "process" else self._tags), *check_tags(tags))

        def declare_job(function: Callable[..., Any]) -> TaskFunction[..., ..., Any]:
            placement: Any = {"transactional": transactional, "executor": executor}
            if isinstance(function, TaskFunction):
                decorated: TaskFunction[..., ..., Any] = function
            else:
                decorated, placement = self.task(**placement)(function), {}

            def declare_in(core: Core) -> None:
                core.registry.adopt(decorated.task)
                declare.job(
                    core, trigger, after=after, on=on, id=id, args=args, tags=all_tags,
                    paused=paused, scope=scope,
                    **placement, **chosen,
                )(decorated)  # fmt: skip

            self._declare(declare_in)
            return decorated

        return cast(TaskDecorator, declare_job)

    def include_in(self, core: Core) -> None:
        """Declare everything in a scheduler; used by `Scheduler.include`."""
        if core in self._cores:
            return
        for declaration in self._declarations:
            declaration(core)
        self._cores.add(core)

    def _declare(self, declaration: Declaration) -> None:
        """Remember a declaration; the schedulers that include this group get it now."""
        for core in list(self._cores):
            declaration(core)
        self._declarations.append(declaration)

    def _enqueue(self, name: str, *args: Any, **options_and_arguments: Any) -> str:
        return DirectEnqueue(self._core_of(name)).enqueue(name, *args, **options_and_arguments)

    async def _enqueue_awaitable(self, name: str, *args: Any, **options_and_arguments: Any) -> str:
        enqueue = AwaitableEnqueue(self._core_of(name)).enqueue
        return await enqueue(name, *args, **options_and_arguments)

    def _core_of(self, name: str) -> Core:
        """Return the scheduler for a call of a task that does not name one."""
        if len(self._cores) > 1:
            gc.collect()  # schedulers of earlier tests, for example
        cores = list(self._cores)
        if len(cores) == 1:
            return cores[0]
        if cores:
            raise LifecycleError(
                f"{len(cores)} schedulers include the group of task {name!r}; call enqueue on the "
                f"one that you mean: scheduler.enqueue({name}, …)"
            )
        raise LifecycleError(
            f"no scheduler includes the group of task {name!r} yet; call scheduler.include(jobs) "
            "where the application is put together, before this call"
        )


def include(core: Core, *groups: JobGroup) -> None:
    """Declare the tasks and jobs of groups, which other modules have declared: see `JobGroup`.

    Including a group again changes nothing. After the start, jobs are stored at once.

    Args:
        groups: the groups.

    Raises:
        DuplicateTask: a task's name belongs to another function of this scheduler.
        ArgumentsError: the ``args`` of a job do not match the signature of its function.
        ConfigurationError: a job is declared twice, or something else than a group was given.
    """
    for group in groups:
        if not isinstance(group, JobGroup):
            raise ConfigurationError(f"include({group!r}) is not valid; {_advice(group)}")
        group.include_in(core)


def _advice(given: object) -> str:
    if isinstance(given, ModuleType):
        found = [key for key, value in vars(given).items() if isinstance(value, JobGroup)]
        if found:
            return f"give the group in that module: include({given.__name__}.{found[0]})"
    return "give a JobGroup"
