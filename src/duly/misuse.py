"""Errors for calls that do not fit a function's signature: what was wrong, and what to write."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from duly.errors import ConfigurationError, DulyError, TriggerError, UnknownOption
from duly.foreign_names import TRIGGER_OPTIONS

P = ParamSpec("P")
R = TypeVar("R")


def misuse(
    function: Callable[..., Any],
    args: Sequence[Any],
    options: Mapping[str, Any],
    *,
    hidden: int = 0,
) -> DulyError | None:
    """Return the error for arguments that do not fit a function; ``None`` if they do.

    Args:
        function: the function that was called.
        args: its positional arguments.
        options: its keyword arguments.
        hidden: the number of positional arguments that the caller does not see.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        name = f"{function.__name__}()"
        parameters = list(signature.parameters.values())[hidden:]
        kinds = {parameter.kind for parameter in parameters}
        named = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        unknown = [option for option in options if option not in named]
        if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
            return UnknownOption(unknown[0], named, f"of {name}")
        positional = [p.name for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
        if len(args) - hidden > len(positional):
            first = f"only {', '.join(positional)} by position" if positional else "only names"
            others = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
            return ConfigurationError(
                f"{name} takes {first}, as in {others[0]}=…, but {len(args) - hidden} positional "
                "arguments were given"
                if others
                else f"{name} takes {first}, but {len(args) - hidden} arguments were given"
            )
        return ConfigurationError(f"{name}: {error}")
    return None


def explained(cure: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function that creates a trigger or a calendar explain calls that do not fit it.

    Args:
        cure: what to write instead.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            try:
                return function(*args, **options)
            except TypeError:
                error = misuse(function, args, options)
                if error is None:
                    raise
                raise TriggerError(_shown(function.__name__, args, options, error, cure)) from None

        return call

    return decorate


def explains_arguments(cls: type[R]) -> type[R]:
    """Let a class explain arguments that its constructor does not take."""
    create: Callable[..., None] = cls.__init__

    @functools.wraps(create)
    def init(self: Any, *args: Any, **options: Any) -> None:
        try:
            create(self, *args, **options)
        except TypeError:
            error = misuse(create, (self, *args), options, hidden=1)
            if error is None:
                raise
            message = str(error).replace("__init__()", f"{cls.__name__}()")
            raise ConfigurationError(message) from None

    cls.__init__ = init  # type: ignore[method-assign]
    return cls


def explains_names(advice: Mapping[str, str], owner: str) -> Callable[[type[R]], type[R]]:
    """Let a class answer the attributes that other libraries have in its place.

    Type checkers do not see this, and so still refuse the names.

    Args:
        advice: for each such name, what to write instead.
        owner: how messages refer to an instance; ``{name}`` becomes its ``name``.
    """

    def decorate(cls: type[R]) -> type[R]:
        def unknown(self: Any, name: str) -> Any:
            who = owner.format(name=repr(vars(self).get("name")))
            hint = f"; write {advice[name]}" if name in advice else ""
            raise AttributeError(f"{who} has no attribute {name!r}{hint}", name=name, obj=self)

        setattr(cls, "__getattr__", unknown)  # noqa: B010 - hidden from type checkers
        return cls

    return decorate


def _shown(
    name: str, args: Sequence[Any], options: Mapping[str, Any], error: DulyError, cure: str
) -> str:
    if isinstance(error, UnknownOption):
        advice = TRIGGER_OPTIONS.get(error.name)
        return f"unknown option {error.name!r} {error.where}; {advice or cure}"
    given = [_short(value) for value in args]
    given += [f"{option}={_short(value)}" for option, value in options.items()]
    return f"{name}({', '.join(given)[:200]}) is not valid; {cure}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a foreign repr may raise anything
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else f"{text[:57]}..."
