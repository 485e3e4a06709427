"""The signature of a task: it validates arguments when they are stored and when they are read."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Union, get_args, get_origin

from duly.errors import ArgumentsError, ConfigurationError
from duly.hooks import Injected
from duly.model import payload, secrets
from duly.model.session_parameters import SessionKind, session_kind


class Signature:
    """The arguments that a task's function accepts, derived from its parameters and annotations.

    A parameter annotated with a type that Duly supplies (`Run` or ``Run | None``) is not an
    argument; neither is the ``Session`` or ``AsyncSession`` of a transactional function.

    Args:
        function: a plain function or a coroutine function.
        name: the name of the task, for error messages.

    Raises:
        ConfigurationError: the function has ``*args`` or positional-only parameters, an annotation
            cannot be resolved, or a type cannot be stored as JSON or is a secret.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._name = name
        self._parameters: dict[str, inspect.Parameter] = {}
        self.injected: dict[str, type[Injected]] = {}
        self.sessions: dict[str, SessionKind] = {}
        self._extra_type: Any = None
        for parameter in _parameters(function, name):
            if parameter.kind is parameter.VAR_KEYWORD:
                unannotated = parameter.annotation is parameter.empty
                self._extra_type = Any if unannotated else parameter.annotation
            elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise ConfigurationError(
                    f"task {name!r}: parameter {parameter.name!r} cannot be passed by name; "
                    "arguments are stored by name, so use ordinary parameters"
                )
            elif (supplied := _supplied(parameter.annotation)) is not None:
                self.injected[parameter.name] = supplied
            elif (session := session_kind(parameter.annotation)) is not None:
                self.sessions[parameter.name] = session
            else:
                self._parameters[parameter.name] = parameter
        if self._parameters or self._extra_type is not None:
            _ = self._arguments

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arguments."""
        return tuple(self._parameters)

    def encode(self, arguments: Mapping[str, Any]) -> str:
        """Validate arguments given as Python values, and return them as JSON text.

        Raises:
            ArgumentsError: an argument is missing, unknown or has the wrong type.
            PayloadError: the arguments cannot be stored as JSON, or exceed its limits.
        """
        self._check_is_mapping(arguments)
        if not arguments and not self._required:
            return "{}"
        arguments = secrets.with_marks(arguments)
        self._refuse_supplied(arguments)
        text: str = self._arguments.encode(arguments)
        return secrets.as_references(text, f"arguments of {self._name!r}")

    def by_name(self, positional: Sequence[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return positional and named arguments together, by name.

        Raises:
            ArgumentsError: there are too many positional arguments, or one is also given by name.
        """
        if len(positional) > len(self._parameters):
            raise ArgumentsError(
                f"arguments of task {self._name!r}: it takes at most {len(self._parameters)} "
                f"positional, but {len(positional)} were given"
            )
        named = dict(zip(self._parameters, positional, strict=False))
        for name in named.keys() & arguments.keys():
            raise ArgumentsError(f"arguments of task {self._name!r}: {name} is given twice")
        return {**named, **arguments}

    def accept(self, text: str) -> str:
        """Validate arguments given as JSON text, and return them as canonical JSON text.

        Raises:
            ArgumentsError: an argument is missing, unknown or has the wrong type.
            PayloadError: the text is not valid JSON, or exceeds its limits.
        """
        payload.checked(text, f"arguments of {self._name!r}")
        self.decode(text)
        return payload.encode(payload.decode(text))

    def decode(self, text: str, resolve: Callable[[str], str] = secrets.secret) -> dict[str, Any]:
        """Return the arguments of a stored JSON text as Python values.

        Args:
            text: the JSON text.
            resolve: returns the value of a secret by its name; default: `secret` itself.

        Raises:
            ArgumentsError: they do not match the function's current signature.
        """
        if text == "{}" and not self._required:
            return {}
        arguments: dict[str, Any] = self._arguments.decode(secrets.resolved(text, resolve))
        self._refuse_supplied(arguments)
        return arguments

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments, for forms and API descriptions."""
        schema: dict[str, Any] = self._arguments.schema()
        return schema

    @cached_property
    def _arguments(self) -> Any:
        # Imported here, because it loads pydantic, which tasks without arguments do not need.
        from duly.model.arguments import Arguments  # noqa: PLC0415

        return Arguments(self._name, self._parameters, self._extra_type)

    @cached_property
    def _required(self) -> bool:
        return any(p.default is p.empty for p in self._parameters.values())

    def _check_is_mapping(self, arguments: object) -> None:
        if not isinstance(arguments, Mapping):
            kind = type(arguments).__name__
            raise ArgumentsError(
                f"arguments of task {self._name!r} are of type {kind}; give a dict of names and "
                "values, such as args={'order': 7}"
            )

    def _refuse_supplied(self, names: Mapping[str, Any]) -> None:
        if not (self.injected or self.sessions):
            return
        for name in (self.injected.keys() | self.sessions.keys()) & names.keys():
            raise ArgumentsError(
                f"arguments of task {self._name!r}: {name}: Duly supplies it; leave it out"
            )


def _supplied(annotation: Any) -> type[Injected] | None:
    """Return the type in an annotation that Duly supplies, if there is one."""
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
            f"task {name!r}: an annotation uses {error.name!r}, which is not defined in its "
            "module; import it at the top of the module (not under TYPE_CHECKING)"
        ) from error
    except Exception as error:  # evaluating an annotation may raise anything
        raise ConfigurationError(
            f"task {name!r}: its signature cannot be read: {type(error).__name__}: {error}"
        ) from error
