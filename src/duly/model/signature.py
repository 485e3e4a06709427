"""The arguments of a function: checked strictly when stored and again when read back."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Union, get_args, get_origin

from duly.errors import ArgumentsError, ConfigurationError
from duly.hooks import Injected
from duly.model import payload
from duly.model.session_parameters import SessionKind, session_kind


class Signature:
    """What a task's function accepts, read from its parameters and their annotations.

    Parameters annotated with a type that Duly supplies (`Run`, also ``Run | None``) do not count as
    arguments; nor does the ``Session`` or ``AsyncSession`` of a transactional function.

    Args:
        function: a plain or coroutine function.
        name: the task's name, for errors.

    Raises:
        ConfigurationError: ``*args`` or positional-only parameters, annotations that cannot be
            resolved, or types that cannot be stored as JSON, secrets among them.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._name = name
        self._parameters: dict[str, inspect.Parameter] = {}
        self.injected: dict[str, type[Injected]] = {}
        self.sessions: dict[str, SessionKind] = {}
        self._free: Any = None
        for parameter in _parameters(function, name):
            if parameter.kind is parameter.VAR_KEYWORD:
                unsaid = parameter.annotation is parameter.empty
                self._free = Any if unsaid else parameter.annotation
            elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise ConfigurationError(
                    f"task {name!r}: parameter {parameter.name!r} cannot be given by name; "
                    "stored arguments are names and values, so use plain parameters"
                )
            elif (supplied := _supplied(parameter.annotation)) is not None:
                self.injected[parameter.name] = supplied
            elif (session := session_kind(parameter.annotation)) is not None:
                self.sessions[parameter.name] = session
            else:
                self._parameters[parameter.name] = parameter
        if self._parameters or self._free is not None:
            _ = self._arguments

    @property
    def names(self) -> tuple[str, ...]:
        """The argument names."""
        return tuple(self._parameters)

    def encode(self, arguments: Mapping[str, Any]) -> str:
        """Check arguments given in Python and return them as JSON text.

        Raises:
            ArgumentsError: one is missing, unknown, or of another type.
            PayloadError: too large, too deep, or not JSON.
        """
        self._refuse_list(arguments)
        if not arguments and not self._required:
            return "{}"
        self._refuse_supplied(arguments)
        held: str = self._arguments.encode(arguments)
        return held

    def accept(self, text: str) -> str:
        """Check arguments given as JSON text and return them as canonical JSON text.

        Raises:
            ArgumentsError: see `encode`.
            PayloadError: not JSON, too large or too deep.
        """
        payload.checked(text, f"arguments of {self._name!r}")
        self.decode(text)
        return payload.encode(payload.decode(text))

    def decode(self, text: str) -> dict[str, Any]:
        """Arguments in Python from stored JSON text.

        Raises:
            ArgumentsError: they do not fit the function as it is now.
        """
        if text == "{}" and not self._required:
            return {}
        held: dict[str, Any] = self._arguments.decode(text)
        self._refuse_supplied(held)
        return held

    def schema(self) -> dict[str, Any]:
        """The arguments as JSON Schema: for forms and API descriptions."""
        held: dict[str, Any] = self._arguments.schema()
        return held

    @cached_property
    def _arguments(self) -> Any:
        # Only who has arguments pays for what checks them.
        from duly.model.arguments import Arguments  # noqa: PLC0415

        return Arguments(self._name, self._parameters, self._free)

    @cached_property
    def _required(self) -> bool:
        return any(p.default is p.empty for p in self._parameters.values())

    def _refuse_list(self, arguments: object) -> None:
        if not isinstance(arguments, Mapping):
            kind = type(arguments).__name__
            raise ArgumentsError(
                f"arguments of task {self._name!r} are a {kind}; give names and values: {{…}}"
            )

    def _refuse_supplied(self, names: Mapping[str, Any]) -> None:
        if not (self.injected or self.sessions):
            return
        for name in (self.injected.keys() | self.sessions.keys()) & names.keys():
            raise ArgumentsError(
                f"arguments of task {self._name!r}: {name}: the function gets it from Duly"
            )


def _supplied(annotation: Any) -> type[Injected] | None:
    """The type that Duly supplies for this annotation, if it does."""
    if inspect.isclass(annotation) and issubclass(annotation, Injected):
        return annotation
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return next(filter(None, map(_supplied, get_args(annotation))), None)
    return None


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function, eval_str=True).parameters.values())
    except NameError as error:
        raise ConfigurationError(
            f"task {name!r}: an annotation names {error.name!r}, which cannot be found at the "
            "top of its module; import it there (not under TYPE_CHECKING)"
        ) from error
    except Exception as error:  # evaluating an annotation may raise anything
        raise ConfigurationError(
            f"task {name!r}: its parameters cannot be read: {type(error).__name__}: {error}"
        ) from error
