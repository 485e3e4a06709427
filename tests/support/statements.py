"""Compiled statements that all engines of a test process share.

SQLAlchemy compiles a statement once per engine. An application has one engine; tests have one each,
and compiling took a third of the time of a test that steps a worker.
"""

from __future__ import annotations

from functools import cache, wraps
from typing import Any

from sqlalchemy.util import LRUCache

from duly.store.store import Store

CAPACITY = 5_000


class SharedStatements(LRUCache[Any, Any]):
    """The statements that engines with equal dialects have compiled.

    The first item of SQLAlchemy's key is the engine's own dialect object.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a compiled statement, whichever engine it was compiled for."""
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(key[1:], compiled)


@cache
def _statements(_dialect: str) -> SharedStatements:
    return SharedStatements(CAPACITY)


def share_statements() -> None:
    """From now on, share what is compiled for the engines that Duly creates.

    The engines of hosts are left out: they may have options that a statement is compiled with.
    """
    create = Store.__init__

    @wraps(create)
    def init(store: Store, *args: Any, **options: Any) -> None:
        create(store, *args, **options)
        if options.get("engine") is None:
            shared = _statements(store.engine.name)
            store.engine.update_execution_options(compiled_cache=shared)

    setattr(Store, "__init__", init)  # noqa: B010 - mypy refuses to assign to a method
