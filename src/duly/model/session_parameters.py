"""The session that a transactional function asks for by annotation."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from duly.errors import ConfigurationError

SessionKind = Literal["Session", "AsyncSession"]
_KINDS: dict[str, SessionKind] = {
    "sqlalchemy.orm.session.Session": "Session",
    "sqlalchemy.ext.asyncio.session.AsyncSession": "AsyncSession",
}
"""By name, so that nothing needs to be imported to know them."""


def session_kind(annotation: Any) -> SessionKind | None:
    """Which session an annotation asks for, also inside ``Session | None``, if it does."""
    if inspect.isclass(annotation):
        names = (f"{held.__module__}.{held.__qualname__}" for held in annotation.__mro__)
        return next((_KINDS[name] for name in names if name in _KINDS), None)
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return next(filter(None, map(session_kind, get_args(annotation))), None)
    return None


def check_sessions(
    task: str,
    sessions: Mapping[str, SessionKind],
    *,
    is_async: bool,
    asks_for_run: bool,
    transactional: bool | Callable[[], Any],
) -> None:
    """Refuse a declaration whose session parameters do not fit the rest of it.

    Args:
        task: its name, for errors.
        sessions: the parameters annotated with a session.
        is_async: whether the function is a coroutine function.
        asks_for_run: whether it can call ``run.session()``.
        transactional: what the declaration says.

    Raises:
        ConfigurationError: see the messages.
    """
    if not isinstance(transactional, bool) and not callable(transactional):
        raise ConfigurationError(
            f"task {task!r}: transactional={transactional!r}; give True, or what makes the "
            "session: a sessionmaker, an async_sessionmaker, or Flask-SQLAlchemy's db.session"
        )
    if transactional is False:
        for name, kind in sessions.items():
            raise ConfigurationError(
                f"task {task!r}: parameter {name!r} is a {kind}, which only a transactional "
                "function gets; declare it with transactional=True"
            )
        return
    if len(sessions) > 1:
        raise ConfigurationError(
            f"task {task!r}: {' and '.join(sessions)} are sessions; a transactional function has "
            "one, which is committed together with its run"
        )
    wanted = "AsyncSession" if is_async else "Session"
    for name, kind in sessions.items():
        if kind != wanted:
            form = "a coroutine function" if is_async else "a plain function"
            raise ConfigurationError(
                f"task {task!r}: parameter {name!r} is a {kind}, but {form} gets a {wanted}"
            )
    if transactional is True and not sessions and not asks_for_run:
        raise ConfigurationError(
            f"task {task!r}: transactional=True, but the function asks for no session; give it a "
            f"parameter annotated with {wanted}"
        )
