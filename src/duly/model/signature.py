"""The arguments of a function: checked strictly when stored and again when read back."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Secret,
    SecretBytes,
    SecretStr,
    ValidationError,
    create_model,
)
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from duly.errors import ArgumentsError, ConfigurationError, PayloadError, did_you_mean
from duly.hooks import Injected
from duly.model import payload
from duly.model.session_parameters import SessionKind, session_kind
from duly.model.text import told

_CONFIG = ConfigDict(
    strict=True,
    extra="forbid",
    allow_inf_nan=False,
    ser_json_inf_nan="constants",  # not "null": what is no JSON is refused, never replaced
    validate_by_alias=True,
)


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
                _refuse_secrets(parameter, name)
        if self._parameters or self._free is not None:
            _ = self._model

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
        try:
            held = self._model.model_validate(dict(arguments))
            plain = held.model_dump(mode="json", by_alias=True, exclude_unset=True)
        except ValidationError as error:
            raise self._misfit(error) from None
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise PayloadError(f"arguments of {self._name!r}: {error}") from error
        except Exception as error:  # a foreign type's own check may raise anything
            raise self._broken_check(error) from error
        return payload.checked(payload.encode(plain), f"arguments of {self._name!r}")

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
        try:
            held = self._model.model_validate_json(text)
        except ValidationError as error:
            raise self._misfit(error) from None
        except Exception as error:  # a foreign type's own check may raise anything
            raise self._broken_check(error) from error
        self._refuse_supplied(held.model_extra or {})
        given = held.model_fields_set
        values = {
            name: getattr(held, f"p{index}")
            for index, name in enumerate(self._parameters)
            if f"p{index}" in given
        }
        return values | (held.model_extra or {})

    def schema(self) -> dict[str, Any]:
        """The arguments as JSON Schema: for forms and API descriptions."""
        return self._model.model_json_schema(by_alias=True) | {"title": self._name}

    @cached_property
    def _required(self) -> bool:
        return any(p.default is p.empty for p in self._parameters.values())

    @cached_property
    def _model(self) -> type[BaseModel]:
        columns: dict[str, Any] = {}
        for index, (name, parameter) in enumerate(self._parameters.items()):
            annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
            default = ... if parameter.default is parameter.empty else parameter.default
            columns[f"p{index}"] = (annotation, Field(default, alias=name))
        try:
            base = _base(self._free)
            return create_model(f"{self._name} arguments", __base__=base, **columns)
        except PydanticUserError as error:
            what = error.message.partition(". ")[0]
            raise ConfigurationError(
                f"task {self._name!r} has a parameter type that JSON cannot carry: {what}"
            ) from error

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

    def _misfit(self, error: ValidationError) -> ArgumentsError:
        problems = []
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            where = ".".join(str(part) for part in fault["loc"]) or "arguments"
            hint = did_you_mean(where, self.names) if fault["type"] == "extra_forbidden" else ""
            problems.append(f"{where}: {_PLAIN.get(fault['type'], fault['msg'])}{hint}")
        return ArgumentsError(f"arguments of task {self._name!r}: {'; '.join(problems)}")

    def _broken_check(self, error: Exception) -> ArgumentsError:
        problem = f"{type(error).__name__}: {told(error, 500)}"
        return ArgumentsError(f"arguments of task {self._name!r}: a check failed: {problem}")


_PLAIN = {"extra_forbidden": "the function has no such parameter", "missing": "is missing"}


def _base(free: Any) -> type[BaseModel]:
    """A strict model; one that takes any further names when ``free`` is their type."""
    if free is None:
        return _Closed
    notes = {"__pydantic_extra__": dict[str, free]}
    return type("_Open", (_Closed,), {"__annotations__": notes, "model_config": _OPEN})


class _Closed(BaseModel):
    model_config = _CONFIG


_OPEN = ConfigDict(extra="allow")


def _supplied(annotation: Any) -> type[Injected] | None:
    """The type that Duly supplies for this annotation, if it does."""
    if inspect.isclass(annotation) and issubclass(annotation, Injected):
        return annotation
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return next(filter(None, map(_supplied, get_args(annotation))), None)
    return None


def _refuse_secrets(parameter: inspect.Parameter, name: str) -> None:
    """They would be stored as stars, and the function would get the stars."""
    reached, seen = [parameter.annotation], set()
    while reached:
        held = reached.pop()
        if inspect.isclass(held) and issubclass(held, _SECRETS):
            raise ConfigurationError(
                f"task {name!r}: parameter {parameter.name!r} holds a {held.__name__}; secrets are "
                "not stored, so pass the name of one and look it up inside the function"
            )
        if (origin := get_origin(held)) is not None:
            reached += [origin, *get_args(held)]
        if inspect.isclass(held) and issubclass(held, BaseModel) and held not in seen:
            seen.add(held)
            reached += [column.annotation for column in held.model_fields.values()]


_SECRETS = (SecretStr, SecretBytes, Secret)


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
