"""Tasks are looked up by name, and only registered functions can run."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from duly import JobDefaults, Retry, Run
from duly.errors import ConfigurationError, DuplicateTask, UnknownOption, UnknownTask
from duly.operations.task_function import TaskFunction
from duly.registry import Registry, Task


def register(registry: Registry, function: Any, name: str | None = None, **options: Any) -> Task:
    return registry.register(function, name=name, options=options)


def decorate(
    task: Task, enqueue: Callable[..., str] = lambda *_: ""
) -> TaskFunction[..., ..., Any]:
    async def awaitable(*args: Any, **kwargs: Any) -> str:
        return enqueue(*args, **kwargs)

    return TaskFunction(task, enqueue, awaitable)


def send_mail(to: str) -> None:
    """Send one mail.

    And more text.
    """


def other(to: str) -> None: ...


async def fetch() -> int:
    return 7


class Callable_:  # noqa: N801 - an instance that is called
    async def __call__(self, n: int) -> None: ...


def test_a_function_is_known_by_its_name_or_by_one_that_is_given() -> None:
    """The database stores the name; the function also leads to its task."""
    registry = Registry()
    plain = register(registry, send_mail)
    named = register(registry, other, "mail.other")
    assert (plain.name, plain.doc, plain.is_async) == ("send_mail", "Send one mail.", False)
    assert registry.get("mail.other") is named
    assert registry.find(send_mail) is plain
    assert registry.find("send_mail") is plain
    assert registry.find(decorate(named)) is named
    assert registry.names() == ("mail.other", "send_mail")
    assert registry.tasks() == [named, plain]
    assert "send_mail" in registry
    assert "other" not in registry


def test_coroutine_functions_are_recognised() -> None:
    """They are recognised behind a partial, and as an instance with a coroutine ``__call__``."""
    registry = Registry()
    assert register(registry, fetch).is_async
    assert register(registry, functools.partial(fetch), "partial").is_async
    assert register(registry, Callable_(), "instance").is_async
    assert not register(registry, send_mail).is_async


def test_one_name_for_two_functions_is_refused() -> None:
    """The error names the first function and says what to do; the first one stays registered."""
    registry = Registry()
    first = register(registry, send_mail)
    with pytest.raises(DuplicateTask, match=r"'send_mail' belongs to .*send_mail; give .*other"):
        register(registry, other, "send_mail")
    assert registry.get("send_mail") is first


def test_the_same_function_may_be_registered_again() -> None:
    """A module that is loaded twice defines its functions again; the newer one counts."""
    registry = Registry()

    def load() -> Callable[[], None]:
        def work() -> None: ...

        return work

    register(registry, load())
    second = load()
    register(registry, second, priority=5)
    assert registry.get("work").function is second
    assert registry.get("work").options == {"priority": 5}


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    """A misspelling is reported with the closest match."""
    registry = Registry()
    register(registry, send_mail)
    with pytest.raises(
        UnknownTask, match=r"no task is registered as 'send_mial'; did you mean 'send_mail'\?"
    ):
        registry.get("send_mial")
    with pytest.raises(UnknownTask, match=r"test_registry\.other is not registered; decorate it"):
        registry.find(other)


@pytest.mark.parametrize(
    "wanted", [None, 5, object(), [send_mail]], ids=["none", "number", "object", "list"]
)
def test_an_object_that_is_not_a_task_is_not_found(wanted: Any) -> None:
    """Anything that is not a task raises Duly's error."""
    with pytest.raises(UnknownTask, match="is not registered"):
        Registry().find(wanted)


def test_a_name_from_the_database_imports_nothing() -> None:
    """An importable dotted path is not a task (promise 6, security rule 1)."""
    for name in ("os.system", "builtins:eval", "tests.unit.test_registry.send_mail"):
        with pytest.raises(UnknownTask):
            Registry().get(name)


def test_a_task_of_another_scheduler_is_unknown_here() -> None:
    """A decorated function is found by its name, in this registry only."""
    here, there = Registry(), Registry()
    decorated = decorate(register(there, send_mail))
    with pytest.raises(UnknownTask, match="'send_mail'"):
        here.find(decorated)


def test_functions_that_do_not_return_once_are_refused() -> None:
    """Generators are rejected, and objects that cannot be called."""

    def lines() -> Iterator[int]:
        yield 1

    async def more() -> AsyncIterator[int]:
        yield 1

    for function in (lines, more):
        with pytest.raises(ConfigurationError, match="is a generator; a task returns once"):
            register(Registry(), function)
    for thing in (5, "text", None):
        with pytest.raises(ConfigurationError, match="is not a function"):
            register(Registry(), thing, "work")


def test_a_function_without_a_name_needs_one() -> None:
    """A lambda or a partial is rejected unless it is given a stable name."""
    for nameless in (lambda: None, functools.partial(other, to="x")):
        with pytest.raises(ConfigurationError, match=r"has no usable name; give one .* name=…"):
            register(Registry(), nameless)
        assert register(Registry(), nameless, "work").name == "work"


@pytest.mark.parametrize("name", ["x" * 192, "a\x00b", "line\nbreak", "\ud800"], ids=ascii)
def test_a_name_that_a_database_cannot_hold_is_refused(name: str) -> None:
    """1 to 191 printable characters."""
    with pytest.raises(ConfigurationError, match="no usable name; give one of 1 to 191"):
        register(Registry(), send_mail, name)
    assert register(Registry(), send_mail, "ü" * 191).name == "ü" * 191


@pytest.mark.parametrize("name", [5, b"bytes", True], ids=repr)
def test_a_name_is_text(name: Any) -> None:
    """Anything else raises Duly's error."""
    with pytest.raises(ConfigurationError, match="no usable name"):
        register(Registry(), send_mail, name)


def test_task_options_are_checked_when_registered() -> None:
    """Unknown options get a suggestion, job-only options are named, and values are validated."""
    with pytest.raises(
        UnknownOption, match=r"unknown option 'retrys' for task 'send_mail'; did you mean 'retry'\?"
    ):
        register(Registry(), send_mail, retrys=3)
    with pytest.raises(UnknownOption, match="unknown option 'overlap' for task 'send_mail'"):
        register(Registry(), send_mail, overlap="skip")
    with pytest.raises(ConfigurationError, match=r"timeout is -1; .*for task 'send_mail'"):
        register(Registry(), send_mail, timeout=-1)


def test_job_options_win_over_task_options_and_those_over_defaults() -> None:
    """The job's options override the task's, which override the defaults."""
    task = register(Registry(), send_mail, retry=2, timeout=60)
    defaults = JobDefaults(retry=Retry(9), timeout=9, priority=9, queue="nine")
    merged = task.options_over(defaults, {"timeout": 5, "overlap": "allow"})
    assert merged.retry == Retry(2)
    assert (merged.timeout, merged.priority, merged.queue, merged.overlap) == (
        5,
        9,
        "nine",
        "allow",
    )
    with pytest.raises(UnknownOption, match="unknown option 'timout' for a job of task"):
        task.options_over(defaults, {"timout": 5})


def test_a_registered_function_is_still_that_function() -> None:
    """Calling it is a plain call; name, documentation and signature are the function's."""

    def add(a: int, b: int = 1, *, run: Run | None = None) -> int:
        """Add."""
        return a + b

    decorated = decorate(register(Registry(), add))
    assert decorated(1) == 2
    assert decorated(1, b=5) == 6
    assert decorated.name == "add"
    assert decorated.__doc__ == "Add."
    assert vars(decorated)["__name__"] == "add"
    assert str(inspect.signature(decorated)) == str(inspect.signature(add))
    assert repr(decorated) == "<task 'add'>"


def test_a_registered_method_of_a_coroutine_is_awaited_by_its_caller() -> None:
    """Calling a registered coroutine function returns its coroutine."""
    decorated = decorate(register(Registry(), fetch))
    assert asyncio.run(decorated()) == 7


def test_enqueue_of_the_function_is_enqueue_with_its_name() -> None:
    """`function.enqueue(…)` passes all its arguments on."""
    calls: list[Any] = []

    def enqueue(*args: Any, **kwargs: Any) -> str:
        calls.append((args, kwargs))
        return "id"

    decorated = decorate(register(Registry(), other), enqueue)
    assert decorated.enqueue(to="ana", delay=5) == "id"
    assert asyncio.run(decorated.aio.enqueue(to="ana", delay=5)) == "id"
    assert calls == [(("other",), {"to": "ana", "delay": 5})] * 2


def test_registering_while_others_read_is_safe() -> None:
    """Plug-ins may register tasks in threads while the worker lists their names."""
    registry = Registry()
    problems: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                registry.names()
                registry.tasks()
                with pytest.raises(UnknownTask):
                    registry.find(other)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must fail
            problems.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(300):
        register(registry, send_mail, f"task {number}")
    done.set()
    thread.join()
    assert not problems
    assert len(registry.names()) == 300
