"""Validation of task arguments with pydantic. Importing it costs 70 ms, so `Signature` is lazy."""

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
    ser_json_inf_nan="constants",  # not "null": a value that is not JSON is refused, never replaced
    validate_by_alias=True,
)


class Arguments:
    """Converts the arguments of a task between Python values and JSON text.

    Args:
        name: the task's name, used in error messages.
        parameters: the parameters that take arguments, by name.
        extra_type: the type of the values that ``**kwargs`` accepts; ``None`` if there is no
            ``**kwargs``.

    Raises:
        ConfigurationError: a parameter's type cannot be stored as JSON, or is a secret.
    """

    def __init__(
        self, name: str, parameters: Mapping[str, inspect.Parameter], extra_type: Any
    ) -> None:
        self._name = name
        self._names = tuple(parameters)
        for parameter in parameters.values():
            _refuse_secrets(parameter, name)
        self._model = _model(name, parameters, extra_type)

    def encode(self, arguments: Mapping[str, Any]) -> str:
        """See `Signature.encode`."""
        try:
            model = self._model.model_validate(dict(arguments))
            plain = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        except ValidationError as error:
            raise self._mismatch(error) from None
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise PayloadError(f"arguments of {self._name!r}: {error}") from error
        except Exception as error:  # a foreign type's validator may raise anything
            raise self._failed_validator(error) from error
        return payload.checked(payload.encode(plain), f"arguments of {self._name!r}")

    def decode(self, text: str) -> dict[str, Any]:
        """See `Signature.decode`."""
        try:
            model = self._model.model_validate_json(text)
        except ValidationError as error:
            raise self._mismatch(error) from None
        except Exception as error:  # a foreign type's validator may raise anything
            raise self._failed_validator(error) from error
        given = model.model_fields_set
        values = {
            name: getattr(model, f"p{index}")
            for index, name in enumerate(self._names)
            if f"p{index}" in given
        }
        return values | (model.model_extra or {})

    def schema(self) -> dict[str, Any]:
        """See `Signature.schema`."""
        return self._model.model_json_schema(by_alias=True) | {"title": self._name}

    def _mismatch(self, error: ValidationError) -> ArgumentsError:
        problems = []
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            where = ".".join(str(part) for part in fault["loc"]) or "arguments"
            hint = did_you_mean(where, self._names) if fault["type"] == "extra_forbidden" else ""
            problems.append(f"{where}: {_MESSAGES.get(fault['type'], fault['msg'])}{hint}")
        return ArgumentsError(f"arguments of task {self._name!r}: {'; '.join(problems)}")

    def _failed_validator(self, error: Exception) -> ArgumentsError:
        problem = f"{type(error).__name__}: {safe_str(error, 500)}"
        return ArgumentsError(f"arguments of task {self._name!r}: a validator failed: {problem}")


_MESSAGES = {"extra_forbidden": "the function has no such parameter", "missing": "is missing"}


def _model(
    name: str, parameters: Mapping[str, inspect.Parameter], extra_type: Any
) -> type[BaseModel]:
    """Build the model; field names are positions, so that no parameter clashes with pydantic's."""
    fields: dict[str, Any] = {}
    for index, (alias, parameter) in enumerate(parameters.items()):
        annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[f"p{index}"] = (annotation, Field(default, alias=alias))
    try:
        return create_model(f"{name} arguments", __base__=_base(extra_type), **fields)
    except PydanticUserError as error:
        problem = error.message.partition(". ")[0]
        raise ConfigurationError(
            f"task {name!r} has a parameter whose type cannot be stored as JSON: {problem}"
        ) from error


def _base(extra_type: Any) -> type[BaseModel]:
    """Return a strict base model, which accepts extra fields if they have a type."""
    if extra_type is None:
        return _Closed
    annotations = {"__pydantic_extra__": dict[str, extra_type]}
    return type("_Open", (_Closed,), {"__annotations__": annotations, "model_config": _OPEN})


class _Closed(BaseModel):
    model_config = _CONFIG


_OPEN = ConfigDict(extra="allow")


def _refuse_secrets(parameter: inspect.Parameter, name: str) -> None:
    """Refuse pydantic's secret types: they would be stored, and passed on, as asterisks."""
    pending, seen = [parameter.annotation], set()
    while pending:
        annotation = pending.pop()
        if inspect.isclass(annotation) and issubclass(annotation, _SECRETS):
            raise ConfigurationError(
                f"task {name!r}: parameter {parameter.name!r} contains a {annotation.__name__}; "
                "secrets are not stored, so pass the secret's name and look it up in the function"
            )
        if (origin := get_origin(annotation)) is not None:
            pending += [origin, *get_args(annotation)]
        is_model = inspect.isclass(annotation) and issubclass(annotation, BaseModel)
        if is_model and annotation not in seen:
            seen.add(annotation)
            pending += [field.annotation for field in annotation.model_fields.values()]


_SECRETS = (SecretStr, SecretBytes, Secret)
