"""The inputs for a task's arguments, made from the JSON Schema of its signature."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from duly.model.redaction import HIDDEN

Kind = Literal[
    "text", "multiline", "number", "date", "flag", "choice", "lines", "json", "group"
]  # fmt: skip
"""How a value is typed: ``lines`` is a list with one item on each line, ``group`` an object."""

MAX_DEPTH = 5
"""How deep objects are typed by their parts; deeper ones are typed as JSON."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UNTYPABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LIMITS = {"minimum": "min", "maximum": "max", "maxLength": "maxlength"}
_HINTS = {
    "date-time": "2026-12-24T18:00:00+01:00",
    "time": "18:00:00",
    "duration": "PT1H30M",
    "uuid": "8-4-4-4-12 hexadecimal digits",
}


class Absent:
    """The class of `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()
"""The value of what was not given and has no default."""


@dataclass(frozen=True, slots=True)
class Field:
    """An input, or a group of them, for one value.

    Attributes:
        name: the name of the input: ``args`` and the value's position as a JSON pointer.
        key: the name of the value in the object that contains it.
        kind: how it is typed.
        type: the JSON type of the value; of the items, if it is a list; ``any`` if it is open.
        value: what the input starts with, with secrets and references as they are shown.
        default: the default of the function.
        given: whether the value is stored, so that it is no default.
        required: whether the function needs it.
        nullable: whether it may be ``None``.
        note: its description.
        choices: the JSON texts of the allowed values, and how they are shown.
        limits: attributes of the input.
        parts: the inputs of a group.
    """

    name: str
    key: str
    kind: Kind
    type: str
    value: Any = ABSENT
    default: Any = ABSENT
    given: bool = False
    required: bool = False
    nullable: bool = False
    note: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Field, ...] = ()

    @property
    def box(self) -> str | None:
        """The name of the box that says that a group is given; ``None``: it always is."""
        optional = self.nullable or (not self.required and not isinstance(self.default, dict))
        return f"{self.name}~given" if self.kind == "group" and optional else None

    @property
    def text(self) -> str:
        """The text that the input starts with."""
        if self.value is ABSENT or self.value is None:
            return ""
        if self.kind == "lines":
            return "\n".join(map(_plain, self.value))
        if self.kind == "json":
            return json.dumps(self.value, indent=2, ensure_ascii=False)
        return json.dumps(self.value) if self.kind == "choice" else _plain(self.value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def fields_of(schema: Mapping[str, Any], shown: Mapping[str, Any] | None) -> tuple[Field, ...]:
    """Return the inputs for the arguments of a task.

    Args:
        schema: the JSON Schema of the arguments.
        shown: the stored arguments as they are shown; ``None``: there are none yet.
    """
    given = dict(shown or {})
    fields = _Schema(schema.get("$defs", {})).parts(schema, given, "args")
    if schema.get("additionalProperties", False) is False:
        return fields
    more = {key: value for key, value in given.items() if key not in schema.get("properties", {})}
    rest = Field(
        "args~more",
        "other arguments",
        "json",
        "object",
        value=more or ABSENT,
        note="An object of names and values.",
    )
    return (*fields, rest)


class _Schema:
    """Reads the parts of a JSON Schema.

    Args:
        definitions: the ``$defs`` of the schema.
    """

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def parts(
        self, schema: Mapping[str, Any], given: Mapping[str, Any], name: str
    ) -> tuple[Field, ...]:
        """Return the inputs for the members of an object."""
        required = schema.get("required", ())
        return tuple(
            self._field(
                f"{name}/{key.replace('~', '~0').replace('/', '~1')}",
                key,
                part,
                given.get(key, ABSENT),
                required=key in required,
            )
            for key, part in schema.get("properties", {}).items()
        )

    def _field(
        self, name: str, key: str, schema: Mapping[str, Any], given: Any, *, required: bool
    ) -> Field:
        schema, nullable = self._resolved(schema)
        default = schema.get("default", ABSENT)
        blank = Field(
            name,
            key,
            "json",
            "any",
            value=default if given is ABSENT else given,
            default=default,
            given=given is not ABSENT,
            required=required,
            nullable=nullable,
            note=str(schema.get("description", "")),
        )
        made = self._typed(blank, schema)
        if _fits(made):
            return made
        if made.value == HIDDEN:
            return replace(made, kind="text", limits={}, parts=())
        return replace(made, kind="json", limits={}, parts=())

    def _resolved(self, schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        """Return a schema without references, and whether it allows ``null`` beside another."""
        nullable = False
        for _ in range(2 * MAX_DEPTH):
            rest = dict(schema)
            if "$ref" in schema:
                target = self._definitions.get(rest.pop("$ref").rpartition("/")[2], {})
                schema = {**target, **rest}
            elif len(schema.get("allOf", ())) == 1:
                schema = {**rest.pop("allOf")[0], **rest}
            elif {"type": "null"} in schema.get("anyOf", ()):
                kinds = [part for part in rest.pop("anyOf") if part != {"type": "null"}]
                schema = {**kinds[0], **rest} if len(kinds) == 1 else {**rest, "anyOf": kinds}
                nullable = True
            else:
                break
        return schema, nullable

    def _typed(self, blank: Field, schema: Mapping[str, Any]) -> Field:
        """Return an input with its kind, which may not fit what is stored."""
        kind = schema.get("type")
        if "enum" in schema or "const" in schema:
            return replace(blank, kind="choice", choices=_choices(schema))
        if kind == "boolean":
            names = (("true", "yes"), ("false", "no"))
            return (
                replace(blank, kind="choice", choices=names)
                if blank.nullable
                else replace(blank, kind="flag", type="boolean")
            )
        if kind in ("integer", "number"):
            return replace(blank, kind="number", type=kind, limits=_limits(schema))
        if kind == "string" or _is_decimal(schema):
            return _text(blank, schema)
        if kind == "array" and "prefixItems" not in schema:
            return self._list(blank, schema)
        depth = blank.name.count("/")
        if kind == "object" and depth < MAX_DEPTH and not schema.get("additionalProperties"):
            value = blank.value if isinstance(blank.value, dict) else {}
            parts = self.parts(schema, value, blank.name)
            return replace(blank, kind="group", type="object", parts=parts) if parts else blank
        return replace(blank, type="object") if kind == "object" else blank

    def _list(self, blank: Field, schema: Mapping[str, Any]) -> Field:
        items, nullable = self._resolved(schema.get("items", {}))
        of = items.get("type")
        if nullable or of not in ("string", "integer", "number"):
            return blank
        allowed = ", ".join(map(str, items.get("enum", ())))
        note = f"One on each line{f', of {allowed}' if allowed else ''}."
        return replace(
            blank, kind="lines", type=of, note=" ".join(filter(None, [blank.note, note]))
        )


def _text(blank: Field, schema: Mapping[str, Any]) -> Field:
    form = str(schema.get("format", ""))
    limits = _limits(schema) | ({"placeholder": _HINTS[form]} if form in _HINTS else {})
    text = blank.value if isinstance(blank.value, str) else ""
    kind: Kind = "multiline" if "\n" in text or "\r" in text else "text"
    if form == "date" and (not text or _DATE.fullmatch(text)):
        kind = "date"
    return replace(blank, kind=kind, type=form or "string", limits=limits)


def _choices(schema: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    values = schema.get("enum", [schema.get("const")])
    return tuple((json.dumps(value), _plain(value)) for value in values)


def _is_decimal(schema: Mapping[str, Any]) -> bool:
    """Return whether a value may be a number or a text, as a decimal number is."""
    kinds = sorted(str(part.get("type")) for part in schema.get("anyOf", ()))
    return kinds == ["number", "string"]


def _limits(schema: Mapping[str, Any]) -> dict[str, str]:
    limits = {_LIMITS[key]: str(schema[key]) for key in _LIMITS if key in schema}
    if schema.get("type") in ("integer", "number"):
        limits["step"] = "1" if schema["type"] == "integer" else "any"
    return limits


def _fits(made: Field) -> bool:
    """Return whether the input can show its value, so that typing nothing changes nothing."""
    value = made.value
    if value is ABSENT or value is None or made.kind == "json":
        return True
    match made.kind:
        case "group":
            return isinstance(value, dict) and value.keys() <= {part.key for part in made.parts}
        case "choice":
            return json.dumps(value) in dict(made.choices)
        case "flag":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "lines":
            return isinstance(value, list) and all(_is_line(item, made.type) for item in value)
    return isinstance(value, str) and not _UNTYPABLE.search(value)


def _is_line(item: Any, of: str) -> bool:
    if of == "string":
        plain = isinstance(item, str) and item.strip() and not _UNTYPABLE.search(item)
        return bool(plain) and not re.search(r"[\r\n]", item)
    return isinstance(item, int | float) and not isinstance(item, bool)
