"""Check that docs/reference covers every public name, and that each one has a docstring."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"
DIRECTIVE = re.compile(r"^::: (\S+)", re.MULTILINE)
MODULES = ("duly", "duly.notify", "duly.testing", "duly.web")


def gaps() -> Iterator[str]:
    """Public names that the reference leaves out or that have no docstring, as sentences."""
    documented = {
        name for page in PAGES.glob("*.md") for name in DIRECTIVE.findall(page.read_text())
    }
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            full_name = f"{module_name}.{name}"
            value = getattr(module, name)
            if not documented & {full_name, getattr(value, "__module__", None)}:
                yield f"{full_name} is missing from docs/reference; add '::: {full_name}'"
            if inspect.isclass(value) or inspect.isroutine(value):
                yield from _undocumented(full_name, value)
    for full_name in documented:
        if not _exists(full_name):
            yield f"docs/reference names {full_name}, which does not exist"


def _undocumented(full_name: str, value: object) -> Iterator[str]:
    if not inspect.getdoc(value):
        yield f"{full_name} has no docstring"
    if not inspect.isclass(value):
        return
    for name, member in inspect.getmembers_static(value):
        public = not name.startswith("_") and _is_documentable(member)
        if public and not inspect.getdoc(getattr(value, name)):
            yield f"{full_name}.{name} has no docstring"


def _is_documentable(member: object) -> bool:
    return isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)


def _exists(full_name: str) -> bool:
    module_name, _, name = full_name.rpartition(".")
    try:
        importlib.import_module(full_name)
    except ImportError:
        try:
            return hasattr(importlib.import_module(module_name), name)
        except ImportError:
            return False
    return True
