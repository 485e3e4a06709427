"""Tests use Duly as its users do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.sources import Source, sources

INTERNALS = ("tests/worker/internals.py", "simulation/scheduler.py")
"""The only files that may reach into a worker; see there."""

PRIVATE = re.compile(r"_[a-z]\w*")
PATH = re.compile(r"duly(\.\w+)*\._[a-z]\w*")


def test_tests_reach_no_private_name() -> None:
    """A private name can be renamed without touching more than one file of each tool."""
    private = {name for source in sources("src") for name in defined(source)}
    assert not [
        f"{source}:{line} {name}"
        for source in sources("bench", "simulation", "tests")
        if str(source) not in INTERNALS
        for line, name in reached(source, private - defined(source))
    ]


def defined(source: Source) -> set[str]:
    """Return the private functions, methods, attributes and constants that a file defines."""
    return {name for node in source.nodes for name in given(node) if PRIVATE.match(name)}


def given(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.attr if isinstance(node, ast.Attribute) else node.id


def reached(source: Source, private: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and name of each private attribute, import and ``monkeypatch`` target."""
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr in private:
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("duly"):
            for name in node.names:
                if PRIVATE.match(name.name):
                    yield node.lineno, f"{node.module}.{name.name}"
        elif isinstance(node, ast.Constant) and is_private(node.value, private):
            yield node.lineno, str(node.value)


def is_private(value: object, private: set[str]) -> bool:
    return isinstance(value, str) and (value in private or PATH.fullmatch(value) is not None)
