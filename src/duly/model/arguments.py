"""Arguments as pydantic checks them, which costs 70 ms to load: see `Signature`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_args, get_origin

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
from duly.model import payload
from duly.model.text import safe_str

_CONFIG = ConfigDict(
    strict=True,
    extra="forbid",
    allow_inf_nan=False,
    ser_json_inf_nan="constants",  # not "null": what is no JSON is refused, never replaced
    validate_by_alias=True,
)


class Arguments:
    """The values that a task's function takes, as JSON text and back.

    Args:
        name: the task's name, for errors.
        parameters: those that are arguments, by name.
        free: the type of further arguments by any name; ``None``: there are none.

    Raises:
        ConfigurationError: types that cannot be stored as JSON, secrets among them.
    """

    def __init__(self, name: str, parameters: Mapping[str, inspect.Parameter], free: Any) -> None:
        self._name = name
        self._names = tuple(parameters)
        for parameter in parameters.values():
            _refuse_secrets(parameter, name)
        self._model = _model(name, parameters, free)

    def encode(self, arguments: Mapping[str, Any]) -> str:
        """See `Signature.encode`."""
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

    def decode(self, text: str) -> dict[str, Any]:
        """See `Signature.decode`."""
        try:
            held = self._model.model_validate_json(text)
        except ValidationError as error:
            raise self._misfit(error) from None
        except Exception as error:  # a foreign type's own check may raise anything
            raise self._broken_check(error) from error
        given = held.model_fields_set
        values = {
            name: getattr(held, f"p{index}")
            for index, name in enumerate(self._names)
            if f"p{index}" in given
        }
        return values | (held.model_extra or {})

    def schema(self) -> dict[str, Any]:
        """See `Signature.schema`."""
        return self._model.model_json_schema(by_alias=True) | {"title": self._name}

    def _misfit(self, error: ValidationError) -> ArgumentsError:
        problems = []
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            where = ".".join(str(part) for part in fault["loc"]) or "arguments"
            hint = did_you_mean(where, self._names) if fault["type"] == "extra_forbidden" else ""
            problems.append(f"{where}: {_PLAIN.get(fault['type'], fault['msg'])}{hint}")
        return ArgumentsError(f"arguments of task {self._name!r}: {'; '.join(problems)}")

    def _broken_check(self, error: Exception) -> ArgumentsError:
        problem = f"{type(error).__name__}: {safe_str(error, 500)}"
        return ArgumentsError(f"arguments of task {self._name!r}: a check failed: {problem}")


_PLAIN = {"extra_forbidden": "the function has no such parameter", "missing": "is missing"}


def _model(name: str, parameters: Mapping[str, inspect.Parameter], free: Any) -> type[BaseModel]:
    columns: dict[str, Any] = {}
    for index, (alias, parameter) in enumerate(parameters.items()):
        annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
        default = ... if parameter.default is parameter.empty else parameter.default
        columns[f"p{index}"] = (annotation, Field(default, alias=alias))
    try:
        return create_model(f"{name} arguments", __base__=_base(free), **columns)
    except PydanticUserError as error:
        what = error.message.partition(". ")[0]
        raise ConfigurationError(
            f"task {name!r} has a parameter type that JSON cannot carry: {what}"
        ) from error


def _base(free: Any) -> type[BaseModel]:
    """A strict model; one that takes any further names when ``free`` is their type."""
    if free is None:
        return _Closed
    notes = {"__pydantic_extra__": dict[str, free]}
    return type("_Open", (_Closed,), {"__annotations__": notes, "model_config": _OPEN})


class _Closed(BaseModel):
    model_config = _CONFIG


_OPEN = ConfigDict(extra="allow")


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
