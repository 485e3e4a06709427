"""The repository's own source files, as the house tests read them."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """One Python file: read, parsed and searched once in a process."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """The whole file."""
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, str(self.path))

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree."""
        return tuple(ast.walk(self.tree))

    @property
    def room(self) -> str:
        """The first name below the package: ``store`` for ``src/duly/store/jobs.py``."""
        return self.path.relative_to(ROOT / "src" / "duly").parts[0].removesuffix(".py")

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Line and dotted name of everything imported, wherever in the file."""
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(node.lineno, name.name) for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                found += [(node.lineno, f"{node.module}.{name.name}") for name in node.names]
        return found

    @cached_property
    def references(self) -> list[tuple[int, str]]:
        """Line and dotted name of everything used, with imported names spelled out.

        After ``from datetime import datetime as moment``, ``moment.now`` is found as
        ``datetime.datetime.now``.
        """
        known, found = self._aliases(), []
        for node in self.nodes:
            if isinstance(node, ast.Attribute | ast.Name) and (name := dotted(node)):
                first, dot, rest = name.partition(".")
                found.append((node.lineno, known.get(first, first) + dot + rest))
        return found

    def _aliases(self) -> dict[str, str]:
        found = {}
        for node in self.nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                for name in node.names:
                    found[name.asname or name.name] = module + name.name
        return found

    @cached_property
    def functions(self) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Each function and method, by its name with its class's before it."""
        return [
            (f"{node.name}.{child.name}" if isinstance(node, ast.ClassDef) else child.name, child)
            for node in self.nodes
            if isinstance(node, ast.ClassDef | ast.Module)
            for child in node.body
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        ]


def dotted(node: ast.AST) -> str | None:
    """Return ``a.b.c`` for such an expression, or ``None`` if it does not start with a name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return None


def sources(*folders: str) -> tuple[Source, ...]:
    """Return the Python files below these folders of the repository."""
    return tuple(source for folder in folders for source in _sources(folder))


@cache
def _sources(folder: str) -> tuple[Source, ...]:
    return tuple(map(_source, sorted((ROOT / folder).rglob("*.py"))))


@cache
def _source(path: Path) -> Source:
    return Source(path)


@cache
def tracked_files() -> tuple[Path, ...]:
    """Return every text file of the checkout that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return tuple(path for path in paths if path.is_file() and b"\0" not in path.read_bytes())
