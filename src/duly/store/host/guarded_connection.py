"""The driver's connection that a transactional function works with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

_ENDINGS = frozenset({
    "autocommit", "begin", "close", "commit", "executescript", "rollback", "set_autocommit",
})  # fmt: skip
"""Calls of drivers that end a transaction: ``begin`` and ``executescript`` commit it first."""


class GuardedConnection:
    """The driver's connection inside a transactional function: only the worker ends its work.

    Args:
        driver: the connection.
        session: the session of the function, which works on the same connection.
        check: raises if the function may not use it any more.
        refuse: raises because the function was about to end the transaction.
    """

    __slots__ = ("_check", "_driver", "_refuse", "session")

    def __init__(
        self,
        driver: Any,
        session: Any,
        check: Callable[[], None],
        refuse: Callable[[str], NoReturn],
    ) -> None:
        for name, value in (
            ("_driver", driver), ("session", session), ("_check", check), ("_refuse", refuse),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        self._check()
        value = getattr(self._driver, name)
        if name in _ENDINGS and callable(value):
            return lambda *_args, **_options: self._refuse_ending(f"{name}()")
        return value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"{name} of this connection cannot be set: Duly reads from it as well. Choose the row "
            "factory for each cursor, or declare the task with transactional=connect, a function "
            "that returns a connection of your own with these settings"
        )

    def __enter__(self) -> None:
        self._refuse_ending("a with block")

    def __exit__(self, *_error: object) -> None:
        """Do nothing: the block was refused."""

    def _refuse_ending(self, what: str) -> None:
        self._refuse(f"was about to be ended by the function, with {what} of its connection")
