"""What every module keeps to."""

from __future__ import annotations

import ast

from tests.support.sources import sources

EVERY = sources("src", "apps")
OWN = sources("src")

LINES = 400
BODY = 45
PARAMETERS = 6
# The facade's options are fixed by its interface; each has a default and is given by keyword.
WIDE = {"Scheduler.__init__"}

# It loads the names that it lists itself, when they are first asked for, and nothing else.
DOORS = ("src/duly/__init__.py", "src/duly/triggers/__init__.py")

# They import what the code itself or the command line names, never what is stored.
CHILD = "src/duly/executors/child.py"  # a function that the worker has registered
COMMAND_LINE = ("src/duly/cli/lazy.py", "src/duly/cli/application.py")

CLOCK = {
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
    *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter")),
    *(f"time.{name}" for name in ("perf_counter_ns", "sleep", "localtime", "gmtime", "ctime")),
    *(f"time.{name}" for name in ("clock_gettime", "clock_gettime_ns", "process_time")),
}
CODE_FROM_DATA = {
    *("eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec"),
    *("importlib.import_module", "importlib.__import__", "pkgutil.resolve_name", "runpy.run_path"),
    *("runpy.run_module", "pydoc.locate", "pydantic.ImportString"),
}
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle", "joblib"}


def test_a_module_holds_one_noun() -> None:
    """No module has 400 lines or more; a migration is written by a program from the tables."""
    written = [source for source in EVERY if "/migrations/versions/" not in str(source)]
    lengths = {str(source): len(source.text.splitlines()) for source in written}
    assert not {name: length for name, length in lengths.items() if length >= LINES}


def test_a_function_can_be_read_at_once() -> None:
    """No function's body is longer than 45 lines, but a migration's list of tables may be."""
    assert not [
        f"{source}:{function.lineno} {name}: {body_lines(function)}"
        for source in EVERY
        for name, function in source.functions
        if body_lines(function) > BODY and "migrations/versions" not in str(source)
    ]


def test_constructors_are_narrow() -> None:
    """A constructor takes at most six parameters; more of them are grouped into a value."""
    assert not [
        f"{source}:{function.lineno} {name}: {parameters(function)}"
        for source in EVERY
        for name, function in source.functions
        if name.endswith(".__init__") and name not in WIDE and parameters(function) > PARAMETERS
    ]


def test_only_the_clock_knows_the_time() -> None:
    """Time is passed in: nothing but ``clock.py`` reads a clock or sleeps."""
    assert not uses(CLOCK, but=("src/duly/clock.py",))


def test_nothing_stored_can_become_code() -> None:
    """No pickle, and nothing that imports or evaluates a name found in data."""
    assert not uses(CODE_FROM_DATA, but=(*DOORS, *COMMAND_LINE, CHILD))
    assert not [
        f"{source}:{line} {name}"
        for source in OWN
        for line, name in source.imports
        if name.partition(".")[0] in PICKLES
    ]


def test_no_import_is_hidden_from_the_running_program() -> None:
    """No ``TYPE_CHECKING`` block excuses an import circle."""
    assert not uses({"typing.TYPE_CHECKING"}, but=DOORS)


def uses(names: set[str], *, but: tuple[str, ...]) -> list[str]:
    """Where one of these names is used, except in the packages' doors."""
    return [
        f"{source}:{line} {name}"
        for source in OWN
        for line, name in source.references
        if name in names and str(source) not in but
    ]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    taken = function.args
    named = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
    return len([argument for argument in named if argument]) - 1  # without self
