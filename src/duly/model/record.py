"""What queries return: values that know how they are shown, the same in every place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import (
    Annotated,
    Any,
    ClassVar,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from duly.model.redaction import redact, redact_text

T = TypeVar("T")
_OF_DATACLASSES = ("__dataclass_fields__", "__getstate__", "__setstate__", "__replace__")


class Shown:
    """An annotation: how the value of a field is shown.

    Args:
        convert: returns what is shown of a value.
        kind: the type of that; default: the annotated type.
        redacts: whether it only hides secrets, so that `Record.redacted` applies it.
    """

    def __init__(
        self, convert: Callable[[Any], Any], kind: Any = None, *, redacts: bool = False
    ) -> None:
        self.convert = convert
        self.kind = kind
        self.redacts = redacts

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return a schema for pydantic that shows the value in this way."""
        from pydantic_core import core_schema  # noqa: PLC0415 - see `Record`

        shown = handler(source) if self.kind is None else handler.generate_schema(self.kind)
        serialization = core_schema.plain_serializer_function_ser_schema(
            self.convert, return_schema=shown
        )
        return {**shown, "serialization": serialization}


SafeValue = Annotated[Any, Shown(redact, redacts=True)]
"""A JSON value in which values named like secrets are hidden when it is shown."""

SafeArguments = Annotated[dict[str, Any], Shown(redact, redacts=True)]
"""A JSON object in which values named like secrets are hidden when it is shown."""

SafeText = Annotated[str, Shown(redact_text, redacts=True)]
"""Text that is shown without control characters, and with values named like secrets hidden."""


class Layout:
    """What is shown of a kind of record; worked out when it is needed first.

    Args:
        kind: the class.
        names: the names of its fields.
    """

    def __init__(self, kind: type[Record], names: tuple[str, ...]) -> None:
        self.kind = kind
        self.names = names

    @cached_property
    def shown(self) -> dict[str, Any]:
        """The annotations of what is shown: the fields, and then the properties."""
        hints = get_type_hints(self.kind, include_extras=True)
        shown = {name: hints[name] for name in self.names}
        for name, member in vars(self.kind).items():
            if isinstance(member, property):
                shown[name] = get_type_hints(member.fget, include_extras=True)["return"]
        return shown

    @cached_property
    def redactions(self) -> dict[str, Callable[[Any], Any]]:
        """How to hide the secrets in a field, for each field that can have any."""
        found = {name: _redaction(self.shown[name]) for name in self.names}
        return {name: hide for name, hide in found.items() if hide is not None}

    @cached_property
    def adapter(self) -> Any:
        """What pydantic makes of it."""
        from pydantic import TypeAdapter  # noqa: PLC0415 - see `Record`

        return TypeAdapter(self.kind)

    def schema(self, handler: Any) -> Any:
        """Return the schema for pydantic."""
        from pydantic_core import core_schema  # noqa: PLC0415 - see `Record`

        fields = {
            name: core_schema.typed_dict_field(handler.generate_schema(annotation))
            for name, annotation in self.shown.items()
        }
        return core_schema.is_instance_schema(
            self.kind,
            ref=f"{self.kind.__module__}.{self.kind.__qualname__}:{id(self.kind)}",
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: {name: getattr(value, name) for name in fields},
                return_schema=core_schema.typed_dict_schema(fields, cls_name=self.kind.__name__),
            ),
        )


class _Serializer:
    """Lets pydantic serialize a record where its type is not declared."""

    def __get__(self, _instance: object, kind: type[Record]) -> Any:
        return kind.layout.adapter.serializer


class Record:
    """The base class of what queries return.

    A record is shown in one way everywhere: by `to_dict` and ``dict(record)``, by the REST API, as
    the response of a FastAPI endpoint, as a field of a pydantic model, and by Flask's ``jsonify``
    after ``init_app``. Pydantic is only imported by the first of these.
    """

    __slots__ = ()
    __pydantic_serializer__: ClassVar[_Serializer] = _Serializer()
    layout: ClassVar[Layout]

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values, as the REST API does.

        Times are in UTC, durations are in seconds, and values named like secrets are hidden.
        """
        shown: dict[str, Any] = self.layout.adapter.dump_python(self, mode="json")
        return shown

    def redacted(self) -> Self:
        """Return a copy in which values named like secrets are hidden."""
        hidden = {name: hide(getattr(self, name)) for name, hide in self.layout.redactions.items()}
        return self.replace(**hidden)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced."""
        values = {name: getattr(self, name) for name in self.layout.names}
        return type(self)(**{**values, **changes})

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.to_dict().items())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.layout.names)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        """Return the schema for pydantic."""
        return cls.layout.schema(handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """Return the JSON schema of what is shown."""
        return {**handler(schema["serialization"]["return_schema"]), "title": cls.__name__}


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a record: a frozen dataclass with slots, whose base is `Record`.

    Other libraries do not see the dataclass: FastAPI and Flask would write its fields one by one,
    whatever the record itself says.
    """
    made: Any = dataclass(frozen=True, slots=True)(cls)
    made.layout = Layout(made, tuple(each.name for each in fields(made)))
    for name in _OF_DATACLASSES:
        if name in vars(made):
            delattr(made, name)
    return cast(type[T], made)


def _redaction(annotation: Any) -> Callable[[Any], Any] | None:
    """Return how to hide the secrets in a value of this type; ``None`` if it has none."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return _redacted
    if get_origin(annotation) in (list, tuple):
        hide = _redaction(get_args(annotation)[0])
        return None if hide is None else partial(_each_redacted, hide)
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        hides = isinstance(part, Shown) and part.redacts
        found = part.convert if hides else _redaction(part)
        if found is not None:
            return found
    return None


def _redacted(value: Record | None) -> Record | None:
    """Return a record, or ``None``, with its secrets hidden."""
    return None if value is None else value.redacted()


def _each_redacted(hide: Callable[[Any], Any], values: Any) -> Any:
    """Return a list or a tuple, or ``None``, with the secrets in its items hidden."""
    return None if values is None else type(values)(map(hide, values))
