"""What was registered is what runs, where it was asked for."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from duly import Scheduler, VirtualClock, every
from duly.errors import ConfigurationError, DuplicateTask, UnknownTask
from duly.operations.task_function import TaskFunction

Make = Callable[[], Scheduler]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes schedulers, each with a database of its own."""
    made: list[Scheduler] = []

    def one() -> Scheduler:
        url = f"sqlite:///{tmp_path}/{len(made)}.db"
        made.append(Scheduler(url, clock=VirtualClock()))
        return made[-1]

    yield one
    for scheduler in made:
        scheduler.stop(grace=0)
        scheduler.store.dispose()


@pytest.fixture
def scheduler(make: Make) -> Scheduler:
    return make()


class Module:
    """A module in a file, which a test edits and reloads."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path, self._name = folder / f"{name}.py", name

    def write(self, text: str) -> None:
        self._path.write_text(f"from __future__ import annotations\n{text}")

    def load(self) -> Any:
        importlib.invalidate_caches()
        loaded = sys.modules.get(self._name)
        return importlib.reload(loaded) if loaded else importlib.import_module(self._name)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = "jobs_of_a_user"
    yield Module(tmp_path, name)
    sys.modules.pop(name, None)


def results(scheduler: Scheduler) -> list[Any]:
    """What the runs returned, in the order in which they were created."""
    scheduler.run_due()
    runs = scheduler.runs()
    assert {run.state for run in runs} <= {"succeeded"}, runs
    return [run.result for run in reversed(runs)]


# ----------------------------------------------------- a later function never replaces an earlier


def in_a_loop(scheduler: Scheduler) -> None:
    for meal in ("breakfast", "lunch"):

        @scheduler.job(every(hours=1), id=meal)
        def announce(meal: str = meal) -> str:
            return meal


def closures(scheduler: Scheduler) -> None:
    def factory(meal: str) -> Callable[[], str]:
        def announce() -> str:
            return meal

        return announce

    for meal in ("breakfast", "lunch"):
        scheduler.job(every(hours=1), id=meal)(factory(meal))


def two_definitions(scheduler: Scheduler) -> None:
    @scheduler.job(every(hours=1), id="daily")
    def report() -> str:
        return "daily"

    @scheduler.job(every(hours=2), id="weekly")  # type: ignore[no-redef]
    def report() -> str:  # noqa: F811
        return "weekly"


class Meal:
    def __init__(self, name: str) -> None:
        self.name = name

    def announce(self) -> str:
        return self.name


def bound_methods(scheduler: Scheduler) -> None:
    for name in ("breakfast", "lunch"):
        scheduler.job(every(hours=1), id=name)(Meal(name).announce)


def lambdas(scheduler: Scheduler) -> None:
    scheduler.task("announce")(lambda: "breakfast")
    scheduler.task("announce")(lambda: "lunch")


def lambdas_of_one_line(scheduler: Scheduler) -> None:
    for function in (lambda: "breakfast", lambda: "lunch"):
        scheduler.task("announce")(function)


def say(meal: str) -> str:
    return meal


def partials(scheduler: Scheduler) -> None:
    for meal in ("breakfast", "lunch"):
        scheduler.task("announce")(functools.partial(say, meal))


def wrapped(scheduler: Scheduler) -> None:
    """Functions behind a decorator that gives them all its own name."""

    def traced(function: Callable[[], str]) -> Callable[[], str]:
        def wrapper() -> str:
            return function()

        return wrapper

    @scheduler.job(every(hours=1), id="breakfast")
    @traced
    def breakfast() -> str:
        return "breakfast"

    @scheduler.job(every(hours=1), id="lunch")
    @traced
    def lunch() -> str:
        return "lunch"


class Speaker:
    def __init__(self, meal: str) -> None:
        self.meal = meal

    def __call__(self) -> str:
        return self.meal


def callable_objects(scheduler: Scheduler) -> None:
    for meal in ("breakfast", "lunch"):
        scheduler.task("announce")(Speaker(meal))


@pytest.mark.parametrize(
    "declare",
    [
        in_a_loop, closures, two_definitions, bound_methods, lambdas, lambdas_of_one_line, partials,
        wrapped, callable_objects,
    ],
)  # fmt: skip
def test_U05_a_second_function_under_one_name_is_refused(
    scheduler: Scheduler, declare: Callable[[Scheduler], None]
) -> None:
    """It would silently run in the place of the first; the message tells what to write instead."""
    with pytest.raises(DuplicateTask, match=r"args=\{…\}.* name of its own|give .* name=…"):
        declare(scheduler)
    assert len(scheduler.registry.names()) == 1


def test_U05_the_message_names_the_function_and_the_cure(scheduler: Scheduler) -> None:
    """One function with parameters, and an id and args for each job."""
    with pytest.raises(DuplicateTask) as error:
        in_a_loop(scheduler)
    for part in ("'announce'", "in_a_loop.<locals>.announce", "id=", "args={…}", "name=…"):
        assert part in str(error.value)

    @scheduler.task()
    def tell(meal: str) -> str:
        return meal

    for meal in ("coffee", "dinner"):
        scheduler.job(every(hours=1), id=meal, args={"meal": meal})(tell)
    assert [job.id for job in scheduler.declared()] == ["breakfast", "coffee", "dinner"]


def test_U05_one_function_may_be_registered_again(scheduler: Scheduler) -> None:
    """The same function, and one that another call of a factory defines without other values."""

    def register() -> None:
        @scheduler.job(every(hours=1), id="a")
        def work(n: int = 1) -> int:
            return n

    register()
    register()
    meal = Meal("lunch")
    for _ in range(2):
        scheduler.task("announce")(meal.announce)
        scheduler.task("say")(functools.partial(say, "hello"))
        scheduler.task("say.plain")(say)
    assert scheduler.registry.names() == ("announce", "say", "say.plain", "work")


def test_U05_two_schedules_of_one_function_need_two_ids(scheduler: Scheduler) -> None:
    """In a loop as well, where each turn defines the function anew."""

    def declare(hours: int) -> None:
        @scheduler.job(every(hours=hours))
        def work() -> None: ...

    declare(1)
    with pytest.raises(ConfigurationError, match="job 'work' is declared twice"):
        declare(2)


TEXT = """
from duly import every
from {holder} import scheduler

{before}
@scheduler.job(every(hours={hours}))
def report() -> str:
    return "{text}"
"""


@pytest.mark.parametrize("before", ["", "x = 1\n" * 7])
def test_U05_a_reloaded_module_replaces_its_functions(
    make: Make, module: Module, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest definition holds, edited or not, and wherever its lines have moved."""
    scheduler = make()
    monkeypatch.setitem(sys.modules, "holder", type(sys)("holder"))
    sys.modules["holder"].scheduler = scheduler  # type: ignore[attr-defined]
    module.write(TEXT.format(holder="holder", before="", hours=1, text="old"))
    old = module.load().report
    module.load()
    module.write(TEXT.format(holder="holder", before=before, hours=3, text="new"))
    new = module.load().report
    (declared,) = scheduler.declared()
    assert declared.trigger == every(hours=3)
    assert new() == "new"
    old.enqueue()
    scheduler.enqueue(new)
    assert results(scheduler) == ["new", "new"]


def test_U05_two_definitions_in_a_module_are_refused(
    make: Make, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a script or at the top of a module, and after a reload."""
    monkeypatch.setitem(sys.modules, "holder", type(sys)("holder"))
    sys.modules["holder"].scheduler = make()  # type: ignore[attr-defined]
    once = TEXT.format(holder="holder", before="", hours=1, text="daily")
    module.write(once)
    module.load()
    module.write(once + "\n@scheduler.job(every(hours=2), id='weekly')\ndef report(): ...\n")
    with pytest.raises(DuplicateTask, match="'report'"):
        module.load()


def cell(text: str, number: int, scope: dict[str, Any]) -> None:
    exec(compile(text, f"/tmp/ipykernel_1/{number}.py", "exec"), scope)


def test_U05_a_notebook_cell_may_be_run_again(scheduler: Scheduler) -> None:
    """Unchanged, or edited: the newest definition and the newest schedule hold."""
    scope: dict[str, Any] = {"__name__": "__main__", "s": scheduler, "every": every}
    text = "@s.job(every(hours={hours}))\ndef report() -> str:\n    return 'run {hours}'\n"
    cell(text.format(hours=1), 1, scope)
    cell(text.format(hours=1), 1, scope)
    cell("x = 1\n" + text.format(hours=2), 2, scope)
    scheduler.enqueue(scope["report"])
    assert results(scheduler) == ["run 2"]
    (declared,) = scheduler.declared()
    assert declared.trigger == every(hours=2)
    with pytest.raises(DuplicateTask, match="'report'"):
        cell(text.format(hours=1) + "@s.job(every(hours=2), id='x')\ndef report(): ...", 3, scope)


def test_U05_a_decorated_function_of_a_reloaded_module_is_replaced(
    make: Make, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind decorators of modules that were not reloaded, with state of their own."""

    def counting(function: Callable[[], str]) -> Callable[[], str]:
        calls: list[int] = []

        @functools.wraps(function)
        def wrapper() -> str:
            calls.append(1)
            return f"{function()} {len(calls)}"

        return wrapper

    scheduler = make()
    holder: Any = type(sys)("holder")
    holder.scheduler, holder.counting = scheduler, counting
    monkeypatch.setitem(sys.modules, "holder", holder)
    text = (
        "from holder import counting, scheduler\n"
        "@scheduler.task()\n@counting\ndef report(): return {0!r}\n"
        "class Work:\n    def __call__(self): return {0!r}\n    def method(self): return {0!r}\n"
        "scheduler.task('object')(Work())\n"
        "scheduler.task('method')(Work().method)\n"
    )
    module.write(text.format("old"))
    module.load()
    module.write(text.format("new"))
    module.load()
    for name in ("report", "object", "method"):
        scheduler.enqueue(name)
    assert results(scheduler) == ["new 1", "new", "new"]


# --------------------------------------------------- what was registered is what runs, and where


class Sender:
    """A callable object of a user, with attributes that Duly's own object has too."""

    def __init__(self, task: object) -> None:
        self.name = "a name of its own"
        self.task = task
        self.enqueue = "not a method"
        self._enqueue = "private"
        self.colour = "red"

    def __call__(self, text: str) -> str:
        return f"sent {text}"


def test_U10_a_callable_object_keeps_its_attributes_apart(scheduler: Scheduler) -> None:
    """Its own ``name`` and ``task`` neither hide nor replace those of the registered task."""

    @scheduler.task()
    def other(text: str) -> str:
        return f"other {text}"

    sender = Sender(other.task)
    send = scheduler.task("send")(sender)
    assert (send.name, send.task.function) == ("send", sender)
    assert send.colour == "red"  # type: ignore[attr-defined]
    send.enqueue(text="one")
    scheduler.enqueue(send, text="two")
    scheduler.enqueue(sender, text="three")
    assert results(scheduler) == ["sent one", "sent two", "sent three"]


def test_U10_a_function_that_wraps_a_task_is_not_that_task(scheduler: Scheduler) -> None:
    """``functools.wraps`` copies attributes; the wrapper is another function all the same."""

    @scheduler.task()
    def work() -> str:
        return "work"

    @functools.wraps(work)
    def louder() -> str:
        return work().upper()

    with pytest.raises(UnknownTask, match="is not registered"):
        scheduler.enqueue(louder)
    scheduler.task("louder")(louder)
    scheduler.enqueue(louder)
    assert results(scheduler) == ["WORK"]


def test_U10_a_task_in_two_schedulers_is_stored_where_it_is_asked_for(make: Make) -> None:
    """Each scheduler stores it in its own database, whichever way it is asked."""
    one, two = make(), make()

    @one.task("work", queue="default")
    async def work(n: int) -> int:
        return n + 1

    also = two.task()(work)
    assert also.task.is_async
    also.enqueue(n=1)
    two.enqueue(work, n=2)
    two.enqueue(also, n=3)
    assert [len(each.runs()) for each in (one, two)] == [0, 3]
    work.enqueue(n=4)
    one.enqueue(also, n=5)
    assert results(one) == [5, 6]
    assert results(two) == [2, 3, 4]


def test_U10_a_job_of_another_schedulers_task_runs_here(make: Make) -> None:
    """``@two.job(…)`` over ``@one.task(…)`` registers the function, with its options, in both."""
    one, two = make(), make()

    @two.job(every(hours=1), id="hourly")
    @one.task("work", priority=3)
    def work() -> str:
        return "done"

    assert two.registry.get("work").options == {"priority": 3}
    two.prepare()
    run = two.run_now("hourly")
    two.run_due()
    assert two.run(run.id).result == "done"
    assert one.jobs() == []


def test_U10_another_function_of_the_same_name_is_not_run_instead(make: Make) -> None:
    """A task of another scheduler is not looked up by its name alone."""
    one, two = make(), make()

    @one.task("work")
    def work() -> str:
        return "one"

    @two.task("work")
    def work_of_two() -> str:
        return "two"

    with pytest.raises(UnknownTask, match="'work' is a task of another scheduler; register it"):
        two.enqueue(work)


def test_U10_a_method_of_an_object_can_be_registered_and_enqueued(scheduler: Scheduler) -> None:
    """Each access of ``meal.announce`` is another object, and still the same task."""
    meal, other = Meal("lunch"), Meal("dinner")
    scheduler.task("announce")(meal.announce)
    scheduler.enqueue(meal.announce)
    assert results(scheduler) == ["lunch"]
    with pytest.raises(UnknownTask, match=r"Meal\.announce is not registered"):
        scheduler.enqueue(other.announce)


PROCESS = """
import functools
from holder import scheduler

def louder(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs).upper()
    return wrapper

@scheduler.task(executor="process")
@louder
def below() -> str:
    return "below"

@louder
@scheduler.task(executor="process")
def above() -> str:
    return "above"

def bare() -> str:
    return "bare"

renamed = scheduler.task("renamed", executor="process")(louder(bare))

def plain() -> str:
    return "plain"

scheduler.task("plain", executor="process")(plain)

def lost() -> str:
    return "lost"

scheduler.task("lost", executor="process")(louder(lost))
"""

HOLDER = """
from duly import Scheduler
scheduler = Scheduler("sqlite:///{path}")
"""


@pytest.mark.processes
def test_U10_a_process_executes_the_function_that_was_registered(
    tmp_path: Path, module: Module
) -> None:
    """The decorated one, wherever its decorators stand; if it cannot be found, the run fails."""
    (tmp_path / "holder.py").write_text(HOLDER.format(path=tmp_path / "app.db"))
    module.write(PROCESS)
    try:
        module.load()
        scheduler: Scheduler = sys.modules["holder"].scheduler
        scheduler.prepare()
        names = ("below", "above", "renamed", "plain", "lost")
        ids = {name: scheduler.enqueue(name) for name in names}
        scheduler.run_due()
        runs = {name: scheduler.run(run_id) for name, run_id in ids.items()}
        scheduler.stop(grace=0)
        scheduler.store.dispose()
    finally:
        sys.modules.pop("holder", None)
    found = {name: run.result for name, run in runs.items() if run.state == "succeeded"}
    assert found == {"below": "BELOW", "above": "above", "renamed": "BARE", "plain": "plain"}
    assert "another process would find another function" in str(runs["lost"].error_message)


# -------------------------------------------------------------------- methods, coroutine functions


def test_U26_a_decorated_method_is_refused(scheduler: Scheduler) -> None:
    """Nobody passes ``self`` to a stored call; the message names what to write instead."""
    with pytest.raises(ConfigurationError, match=r"'m' is a method.* scheduler\.task\(name=…\)\(o"):

        class Service:
            @scheduler.task()
            def m(self, a: int) -> int:
                return a

    with pytest.raises(ConfigurationError, match="'c' is a method"):

        class Other:
            @scheduler.job(every(hours=1))
            def c(cls, a: int) -> int:  # noqa: N805
                return a


def test_U26_functions_in_a_class_that_need_no_object_are_tasks(scheduler: Scheduler) -> None:
    """A static method, and a function whose parameter is called ``self`` outside of a class."""

    class Service:
        @staticmethod
        @scheduler.task()
        def inner(a: int) -> int:
            return a

        @scheduler.task()
        @staticmethod
        def outer(a: int) -> int:
            return a + 1

    @scheduler.task()
    def free(self: int) -> int:
        return self + 2

    assert (Service.inner(1), Service().outer(1), free(1)) == (1, 2, 3)
    Service.inner.enqueue(a=1)
    Service().outer.enqueue(a=1)
    scheduler.enqueue(free, args={"self": 1})
    assert results(scheduler) == [1, 2, 3]


def test_U26_a_coroutine_task_is_a_coroutine_function(scheduler: Scheduler) -> None:
    """Frameworks ask ``inspect``, or asyncio, whether they have to await a function."""

    @scheduler.task()
    async def fetch(url: str) -> str:
        return url

    @scheduler.task()
    def plain(url: str) -> str:
        return url

    assert isinstance(fetch, TaskFunction)
    assert inspect.iscoroutinefunction(fetch)
    assert not inspect.iscoroutinefunction(plain)
    assert list(inspect.signature(fetch).parameters) == ["url"]
