"""Parameters of transactional functions that are annotated with an SQLAlchemy session."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from duly.errors import ConfigurationError
from duly.model.text import with_article

SessionKind = Literal["Session", "AsyncSession"]
_KINDS: dict[str, SessionKind] = {
    "sqlalchemy.orm.session.Session": "Session",
    "sqlalchemy.ext.asyncio.session.AsyncSession": "AsyncSession",
}
"""The session classes by qualified name, so that SQLAlchemy's ORM need not be imported."""


def session_kind(annotation: Any) -> SessionKind | None:
    """Return the kind of session in an annotation such as ``Session | None``, if there is one."""
    if inspect.isclass(annotation):
        names = (f"{base.__module__}.{base.__qualname__}" for base in annotation.__mro__)
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
    """Check the session parameters of a task's function against the rest of its declaration.

    Args:
        task: the name of the task, for error messages.
        sessions: the parameters annotated with a session, by name.
        is_async: whether the function is a coroutine function.
        asks_for_run: whether the function has a `Run` parameter, and so can call ``run.session()``.
        transactional: the ``transactional`` option of the declaration.

    Raises:
        ConfigurationError: the declaration is inconsistent.
    """
    if not isinstance(transactional, bool) and not callable(transactional):
        raise ConfigurationError(
            f"task {task!r}: transactional={transactional!r} is not valid; give True, or a factory "
            "of sessions: a sessionmaker, an async_sessionmaker, or Flask-SQLAlchemy's db.session"
        )
    if transactional is False:
        for name, kind in sessions.items():
            raise ConfigurationError(
                f"task {task!r}: parameter {name!r} is {with_article(kind)}, which only "
                "transactional functions receive; declare the task with transactional=True"
            )
        return
    if len(sessions) > 1:
        raise ConfigurationError(
            f"task {task!r}: {' and '.join(sessions)} are sessions; a transactional function has "
            "only one, which is committed together with its run"
        )
    wanted = "AsyncSession" if is_async else "Session"
    for name, kind in sessions.items():
        if kind != wanted:
            form = "a coroutine function" if is_async else "a plain function"
            raise ConfigurationError(
                f"task {task!r}: parameter {name!r} is {with_article(kind)}, but {form} receives "
                f"{with_article(wanted)}"
            )
    if transactional is True and not sessions and not asks_for_run:
        raise ConfigurationError(
            f"task {task!r}: transactional=True, but the function has no session parameter; add a "
            f"parameter annotated with {wanted}"
        )
