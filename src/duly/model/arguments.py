"""Validation of task arguments with pydantic. Importing it costs 70 ms, so `Signature` is lazy."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
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

from duly.errors import (
    ArgumentsError,
    ConfigurationError,
    DulyError,
    PayloadError,
    did_you_mean,
)
from duly.foreign_names import OPTIONS
from duly.model import payload
from duly.model.equality import Difference, differences, is_equal_base, is_narrowed, is_same
from duly.model.plain_values import never, plain_fields
from duly.model.text import safe_str, with_article

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
        self._aliases = {f"p{index}": parameter for index, parameter in enumerate(parameters)}
        for parameter in parameters.values():
            _refuse_secrets(parameter, name)
        self._model = _model(name, parameters, extra_type)
        plain, self._free_plain = plain_fields(self._model)
        self._plain = {
            parameter: plain.get(field, {}) for field, parameter in self._aliases.items()
        }
        self._untyped = {
            parameter.name for parameter in parameters.values() if parameter.annotation in _UNTYPED
        }
        # A default that is made anew would be another one when the arguments are read.
        annotations = [parameter.annotation for parameter in parameters.values()]
        self._omits_unset = not any(map(_makes_defaults, annotations))

    def encode(self, arguments: Mapping[str, Any]) -> str:
        """See `Signature.encode`."""
        try:
            # Without the methods around it, which take as long as validation.
            model = self._model.__pydantic_validator__.validate_python(dict(arguments))
        except ValidationError as error:
            raise self._mismatch(error) from None
        except Exception as error:  # a foreign type's validator may raise anything
            raise self._failed_validator(error) from error
        text = self._text(model)
        if not self._is_plain(arguments):
            self._check_readable(model, arguments, text)
        return text

    def decode(self, text: str) -> dict[str, Any]:
        """See `Signature.decode`."""
        try:
            model = self._model.__pydantic_validator__.validate_json(text)
        except ValidationError as error:
            raise self._mismatch(error) from None
        except Exception as error:  # a foreign type's validator may raise anything
            raise self._failed_validator(error) from error
        return self._values(model)

    def schema(self) -> dict[str, Any]:
        """See `Signature.schema`."""
        return self._model.model_json_schema(by_alias=True) | {"title": self._name}

    def _is_plain(self, arguments: Mapping[str, Any]) -> bool:
        """Return whether every value certainly comes back as it was given."""
        plain, free = self._plain, self._free_plain
        for name, value in arguments.items():
            check = plain.get(name, free).get(type(value), never)
            if check is not None and not check(value):
                return False
        return True

    def _text(self, model: BaseModel) -> str:
        """Return the arguments in a model as JSON text."""
        try:
            text = payload.encode(self._dumped(model, None))
        except (PydanticSerializationError, PayloadError, ValueError, RecursionError) as error:
            name, problem = self._unwritable(model, error)
            raise PayloadError(
                f"arguments of {self._name!r}: {name}{safe_str(problem, 500)}; arguments are "
                "stored as JSON, so pass plain values, or an id to find the object by"
            ) from error
        except Exception as error:  # a foreign type's serializer may raise anything
            raise self._failed_validator(error) from error
        return payload.checked(text, f"arguments of {self._name!r}")

    def _dumped(self, model: BaseModel, field: str | None) -> Any:
        include = None if self._omits_unset else model.model_fields_set
        return self._model.__pydantic_serializer__.to_python(
            model, mode="json", by_alias=True, exclude_unset=self._omits_unset, round_trip=True,
            warnings=False, include=include if field is None else {field},
        )  # fmt: skip

    def _unwritable(self, model: BaseModel, error: Exception) -> tuple[str, Exception]:
        """Return the name of the argument that cannot be written as JSON, and its own error."""
        for field in model.model_fields_set:
            try:
                payload.encode(self._dumped(model, field))
            except Exception as problem:  # noqa: BLE001 - a foreign serializer may raise anything
                return f"{self._aliases.get(field, field)}: ", problem
        return "", error

    def _values(self, model: BaseModel) -> dict[str, Any]:
        aliases, values, given = self._aliases, vars(model), model.__pydantic_fields_set__
        named = {aliases[field]: values[field] for field in values if field in given}
        return named | extra if (extra := model.__pydantic_extra__) else named

    def _check_readable(self, model: BaseModel, given: Mapping[str, Any], text: str) -> None:
        """Refuse arguments that the function would not receive as they were given.

        A validator of the user's own may convert a value, as long as the result comes back.
        """
        try:
            received = self.decode(text)
        except ArgumentsError as error:
            raise ArgumentsError(
                f"{error} (when the stored arguments are read back); use plain types such as str "
                "and int for the values of enums and for the keys of dicts, or pass plain values"
            ) from None
        try:
            for name, value in given.items():
                if is_same(value, received[name]):
                    continue
                lost = _lost(value, self._values(model)[name], received[name])
                if lost is not None:
                    raise ArgumentsError(
                        f"arguments of task {self._name!r}: {name}{lost.path}: "
                        f"{_changes(lost)}{self._cure(name, lost)}"
                    )
        except DulyError:
            raise
        except Exception as error:  # a foreign type's __eq__ may raise anything
            raise self._failed_validator(error) from error

    def _cure(self, name: str, lost: Difference) -> str:
        sent, received = (type(value).__name__ for value in (lost.left, lost.right))
        if sent == received:
            return "pass plain values, or an id to find the object by"
        instead = f"or pass {with_article(received)}"
        if name in self._untyped and not lost.path:
            return f"annotate the parameter, as in {name}: {sent}, {instead}"
        return f"annotate the parameter so that only {with_article(sent)} fits, {instead}"

    def _mismatch(self, error: ValidationError) -> ArgumentsError:
        problems = []
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            name = _dotted(fault["loc"])
            hint = self._hint(name) if fault["type"] == "extra_forbidden" else ""
            problems.append((fault["loc"], f"{_MESSAGES.get(fault['type'], fault['msg'])}{hint}"))
        text = "; ".join(f"{_dotted(position)}: {message}" for position, message in problems)
        return ArgumentsError(f"arguments of task {self._name!r}: {text}", problems)

    def _hint(self, name: str) -> str:
        return f"; {OPTIONS[name]}" if name in OPTIONS else did_you_mean(name, self._names)

    def _failed_validator(self, error: Exception) -> ArgumentsError:
        problem = f"{type(error).__name__}: {safe_str(error, 500)}"
        return ArgumentsError(f"arguments of task {self._name!r}: a validator failed: {problem}")


def _dotted(position: tuple[str | int, ...]) -> str:
    return ".".join(map(str, position)) or "arguments"


def _lost(given: Any, validated: Any, received: Any) -> Difference | None:
    """Return what the function would not receive as it was given, if there is anything."""
    for left, keeps_type in ((validated, True), (given, False)):
        for found in differences(left, received):
            _path, sent, read = found
            if not is_equal_base(sent, read) and (keeps_type or is_narrowed(sent, read)):
                return found
    return None


def _changes(lost: Difference) -> str:
    sent, received = (with_article(type(value).__name__) for value in (lost.left, lost.right))
    if sent == received:
        return f"{sent} would arrive with another value, because arguments are stored as JSON; "
    return f"{sent} would arrive as {received}, because arguments are stored as JSON; "


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
        raise ConfigurationError(
            f"task {name!r}: {_unstorable(parameters)} cannot be stored as JSON: "
            f"{error.message.partition('. ')[0]}; take an id, and find or open the object in the "
            "function"
        ) from error


def _unstorable(parameters: Mapping[str, inspect.Parameter]) -> str:
    """Return which of the parameters has the type for which pydantic has no schema."""
    for name, parameter in parameters.items():
        try:
            create_model("one parameter", __base__=_Closed, value=(parameter.annotation, ...))
        except PydanticUserError:
            return f"the type of parameter {name!r}"
    return "the type of a parameter"


def _base(extra_type: Any) -> type[BaseModel]:
    """Return a strict base model, which accepts extra fields if they have a type."""
    if extra_type is None:
        return _Closed
    annotations = {"__pydantic_extra__": dict[str, extra_type]}
    return type("_Open", (_Closed,), {"__annotations__": annotations, "model_config": _OPEN})


class _Closed(BaseModel):
    model_config = _CONFIG


_OPEN = ConfigDict(extra="allow")


def _makes_defaults(annotation: Any) -> bool:
    """Return whether a model in an annotation has a field whose default is not always equal."""
    return any(
        field.default_factory not in (None, *_CONTAINERS)
        for model in _models_in(annotation)
        for field in model.model_fields.values()
    )


def _refuse_secrets(parameter: inspect.Parameter, name: str) -> None:
    """Refuse pydantic's secret types: they would be stored, and passed on, as asterisks."""
    for annotation in _parts_of(parameter.annotation):
        if inspect.isclass(annotation) and issubclass(annotation, _SECRETS):
            raise ConfigurationError(
                f"task {name!r}: parameter {parameter.name!r} contains a {annotation.__name__}; "
                "secrets are not stored, so pass the secret's name and look it up in the function"
            )


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the pydantic models in an annotation, and those in their fields."""
    for part in _parts_of(annotation):
        if inspect.isclass(part) and issubclass(part, BaseModel):
            yield part


def _parts_of(annotation: Any) -> Iterator[Any]:
    """Yield an annotation, what it is made of, and the annotations of the fields of its models."""
    pending, seen = [annotation], set()
    while pending:
        part = pending.pop()
        yield part
        if (origin := get_origin(part)) is not None:
            pending += [origin, *get_args(part)]
        is_model = inspect.isclass(part) and issubclass(part, BaseModel)
        if is_model and part not in seen:
            seen.add(part)
            pending += [field.annotation for field in part.model_fields.values()]


_SECRETS = (SecretStr, SecretBytes, Secret)
_CONTAINERS = (list, dict, set, frozenset, tuple)
_UNTYPED = (Any, inspect.Parameter.empty, object)
