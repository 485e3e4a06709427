"""The repository's own source files, read for the house rules."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed."""
        return ast.parse(self.text, str(self.path))

    @property
    def room(self) -> str:
        """The first name below the package: ``store`` for ``src/duly/store/jobs.py``."""
        return self.path.relative_to(ROOT / "src" / "duly").parts[0].removesuffix(".py")

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of everything imported, wherever in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for name in node.names:
                    yield node.lineno, name.name
            elif isinstance(node, ast.ImportFrom) and node.module:
                for name in node.names:
                    yield node.lineno, f"{node.module}.{name.name}"

    def references(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of everything used, with imported names spelled out.

        After ``from datetime import datetime as moment``, ``moment.now`` is found as
        ``datetime.datetime.now``.
        """
        known = self._aliases()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute | ast.Name):
                first, dot, rest = ast.unparse(node).partition(".")
                yield node.lineno, known.get(first, first) + dot + rest

    def _aliases(self) -> dict[str, str]:
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                for name in node.names:
                    found[name.asname or name.name] = module + name.name
        return found

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Each function and method, by its name with its class's before it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                for child in node.body:
                    if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                        yield f"{node.name}.{child.name}", child
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, node


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """The Python files below these folders of the repository."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return tuple(Source(path) for path in sorted(found))


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every text file of the checkout that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return tuple(path for path in paths if path.is_file() and b"\0" not in path.read_bytes())
