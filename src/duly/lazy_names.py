"""Public names that a package imports on first use (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str], names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a package.

    Bind them where type checkers do not look (``if not TYPE_CHECKING``), and import the names where
    only they do: to a checker, a module with a ``__getattr__`` has every name that is asked of it,
    also a misspelt one.

    Args:
        package: the name of the package.
        homes: for each name, the module that defines it.
        names: all public names, which ``dir()`` lists.
    """

    def find(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(homes[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: list(names)
