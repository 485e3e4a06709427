"""The rules that every module follows."""

from __future__ import annotations

import ast

from tests.support.sources import ROOT, Source, sources

EVERY = sources("src", "apps")
OWN = sources("src")

NOUNS = 2
# Modules that hold more than two, because they are read together.
TOGETHER = {
    "src/duly/model/policy.py": "the options of a job, and the policy of a run made of them",
    "src/duly/triggers/calendars/base.py": "what a calendar is, and calendars made of others",
    "src/duly/triggers/recurrence/pattern.py": "three ways to find the times of one rule",
    "src/duly/triggers/wallclock/day_rules.py": "the kinds of day rule, a few lines each",
    "src/duly/web/routes.py": "a route, its two kinds, and their collections",
}
SLICE = 40
BODY = 45
PARAMETERS = 6
# The facade's options are fixed by its interface; each has a default and is given by keyword.
WIDE = {"Scheduler.__init__"}

# It loads the names that it lists itself, when they are first asked for, and nothing else.
DOORS = tuple(f"src/duly/{room}__init__.py" for room in ("", "notify/", "triggers/"))

# It names types of SQLAlchemy's ORM, which only the hosts that use it import.
TYPES_ONLY = ("src/duly/store/host/session_types.py",)

# They import what the code itself or the command line names, never what is stored.
LAZY_NAMES = "src/duly/lazy_names.py"  # what the doors list
CHILD = "src/duly/executors/process/lookup.py"  # a function that the worker has registered
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
    """At most two public classes of a module have behaviour of their own.

    The values that they take and return stand beside them: records, forms, errors and protocols
    do not count.
    """
    crowded = {str(source) for source in OWN if len(nouns(source)) > NOUNS}
    assert crowded == set(TOGETHER)


def test_a_slice_lives_with_its_only_user() -> None:
    """A module of under 40 lines that one other module imports is in that module's folder.

    What a package's ``__init__`` imports is public, and may be small.
    """
    modules = {module_name(source): source for source in OWN}
    users: dict[Source, set[Source]] = {source: set() for source in OWN}
    for user in OWN:
        for _line, name in user.imports:
            used = modules.get(name) or modules.get(name.rpartition(".")[0])
            if used is not None and used is not user:
                users[used].add(user)
    strays = {
        str(source)
        for source in OWN
        if len(source.text.splitlines()) < SLICE and len(users[source]) == 1
        for user in users[source]
        if "__init__.py" not in (source.path.name, user.path.name)
        if user.path.parent != source.path.parent
    }
    assert not strays


def test_a_function_can_be_read_without_scrolling() -> None:
    """No function's body is longer than 45 lines, except a migration's list of tables."""
    assert not [
        f"{source}:{function.lineno} {name}: {body_lines(function)}"
        for source in EVERY
        for name, function in source.functions
        if body_lines(function) > BODY and "migrations/versions" not in str(source)
    ]


def test_constructors_are_narrow() -> None:
    """A constructor takes at most six parameters; further ones are grouped into a value."""
    assert not [
        f"{source}:{function.lineno} {name}: {parameters(function)}"
        for source in EVERY
        for name, function in source.functions
        if name.endswith(".__init__") and name not in WIDE and parameters(function) > PARAMETERS
    ]


def test_only_the_clock_module_reads_the_time() -> None:
    """Time is injected: only ``clock.py`` reads a clock or sleeps."""
    assert not uses(CLOCK, but=("src/duly/clock.py",))


def test_nothing_stored_can_become_code() -> None:
    """Nothing is unpickled, and no name found in data is imported or evaluated."""
    assert not uses(CODE_FROM_DATA, but=(LAZY_NAMES, *COMMAND_LINE, CHILD))
    assert not [
        f"{source}:{line} {name}"
        for source in OWN
        for line, name in source.imports
        if name.partition(".")[0] in PICKLES
    ]


def test_no_import_is_for_type_checkers_only() -> None:
    """No ``TYPE_CHECKING`` block hides an import cycle."""
    assert not uses({"typing.TYPE_CHECKING"}, but=(*DOORS, *TYPES_ONLY))


def module_name(source: Source) -> str:
    parts = source.path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def nouns(source: Source) -> list[str]:
    """Return the public classes of a module that have public methods, except protocols."""
    return [
        node.name
        for node in source.tree.body
        if isinstance(node, ast.ClassDef)
        if not node.name.startswith("_") and "Protocol" not in map(ast.unparse, node.bases)
        if any(is_public_function(child) for child in node.body)
    ]


def is_public_function(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not node.name.startswith("_")


def uses(names: set[str], *, but: tuple[str, ...]) -> list[str]:
    """Return where one of these names is used, except in the files listed in ``but``."""
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
