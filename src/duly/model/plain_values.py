"""Values that certainly come back from JSON as they were written, so that they are not read back.

What pydantic's core does with a type is written in its schema. Only schemas in which every entry is
known to preserve a value are accepted: a validator, a serializer, an alias, a setting or anything
that a newer pydantic adds makes a type one whose values are read back and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import SchemaValidator, TzInfo

from duly.model.equality import is_same

Plain = Mapping[type, Callable[[Any], bool] | None]
"""What decides for a value whether it comes back, by its exact type; ``None``: it always does."""


def comes_back(plain: Plain, value: Any) -> bool:
    """Return whether a value certainly comes back as it was written."""
    check = plain.get(type(value), never)
    return check is None or check(value)


def never(_value: object) -> bool:
    """Return false, for a value whose type is not in a `Plain`."""
    return False


def plain_fields(model: type[BaseModel]) -> tuple[dict[str, Plain], Plain]:
    """Return what comes back in each field of a model, and in its extra fields.

    The model itself may have aliases and be strict, since the caller reads it by its aliases.
    """
    schema: Any = model.__pydantic_core_schema__
    if not isinstance(schema, dict):  # not built yet
        return {}, {}
    reader = _Reader(schema.get("definitions", ()) if schema["type"] == "definitions" else ())
    inner = reader.resolved(schema["schema"] if schema["type"] == "definitions" else schema)
    fields = inner.get("schema", {})
    if inner.get("type") != "model" or fields.get("type") != "model-fields":
        return {}, {}
    found = {
        name: reader.plain(entry["schema"])
        for name, entry in fields["fields"].items()
        if not entry.keys() - _ALLOWED["model-field"] - _ALIASES
    }
    return found, reader.plain(fields.get("extras_schema"))


class _Reader:
    """Reads core schemas.

    Args:
        definitions: the schemas that others refer to.
    """

    def __init__(self, definitions: Iterable[dict[str, Any]]) -> None:
        self._definitions = {schema["ref"]: schema for schema in definitions if "ref" in schema}
        self._open: list[str] = []

    def resolved(self, schema: Any) -> dict[str, Any]:
        """Return the schema that a reference leads to; ``{}`` if there is none."""
        if isinstance(schema, dict) and schema.get("type") == "definition-ref":
            return self._definitions.get(schema["schema_ref"], {})
        return schema if isinstance(schema, dict) else {}

    def plain(self, schema: Any) -> Plain:
        """Return what comes back of the values of a schema; nothing of an unknown one."""
        if isinstance(schema, dict) and schema.get("type") == "definition-ref":
            ref = schema["schema_ref"]
            if ref in self._open or schema.keys() - {"type", "schema_ref", "metadata"}:
                return {}  # it contains itself
            self._open.append(ref)
            found = self.plain(self.resolved(schema))
            self._open.pop()
            return found
        schema = self.resolved(schema)
        read = self._READERS.get(schema.get("type", ""))
        if read is None or schema.keys() - _ALLOWED[schema["type"]]:
            return {}
        return read(self, schema)

    def _scalar(self, schema: dict[str, Any]) -> Plain:
        kinds = _KINDS[schema["type"]]
        if not schema.keys() & _CONSTRAINTS:
            return dict.fromkeys(kinds)
        # Unlike a conversion, a constraint does not change the value that is read.
        return dict.fromkeys(kinds, SchemaValidator({**schema, "strict": True}).isinstance_python)

    def _datetime(self, schema: dict[str, Any]) -> Plain:
        truncates = schema.get("microseconds_precision", "truncate") == "truncate"
        return {datetime: _has_exact_zone} if truncates else {}

    def _literal(self, schema: dict[str, Any]) -> Plain:
        expected = schema["expected"]
        texts = all(type(value) is str for value in expected)
        return {str: frozenset(expected).__contains__} if texts else {}

    def _enum(self, schema: dict[str, Any]) -> Plain:
        values = [member.value for member in schema["members"]]
        texts = all(type(value) is str for value in values) and len(set(values)) == len(values)
        return {schema["cls"]: None} if texts else {}

    def _default(self, schema: dict[str, Any]) -> Plain:
        return self.plain(schema["schema"])

    def _nullable(self, schema: dict[str, Any]) -> Plain:
        found = self.plain(schema["schema"])
        return {**found, _NONE: None} if found else {}

    def _list(self, schema: dict[str, Any]) -> Plain:
        items = self.plain(schema.get("items_schema"))
        return {list: _all_of(items)} if items else {}

    def _dict(self, schema: dict[str, Any]) -> Plain:
        keys, values = (self.plain(schema.get(part)) for part in ("keys_schema", "values_schema"))
        if keys != dict.fromkeys(_KINDS["str"]) or not values:
            return {}
        come_back = _all_of(values)
        return {
            dict: lambda given: _KEYS.issuperset(map(type, given)) and come_back(given.values())
        }

    def _union(self, schema: dict[str, Any]) -> Plain:
        """Return what comes back of scalars; a text and its like could not be told apart."""
        parts = [self.plain(choice) for choice in schema["choices"]]
        kinds = frozenset[type]().union(*parts)
        unconditional = all(part and set(part.values()) == {None} for part in parts)
        separate = kinds <= _SCALARS | _TEXTS and len(kinds & _TEXTS) < 2
        return dict.fromkeys(kinds) if unconditional and separate else {}

    def _model(self, schema: dict[str, Any]) -> Plain:
        inner, config = self.resolved(schema["schema"]), schema.get("config", {})
        special = schema.get("custom_init") or schema.get("root_model") or schema.get("post_init")
        if inner.get("type") != "model-fields" or special or inner.get("computed_fields"):
            return {}
        if inner.keys() - _ALLOWED["model-fields"] or config.keys() - _CONFIG:
            return {}
        if config.get("extra_fields_behavior") == "allow":
            return {}
        fields, defaults = dict[str, Plain](), dict[str, Any]()
        for name, entry in inner["fields"].items():
            fields[name] = self.plain(entry["schema"])
            defaults |= _default_of(name, entry["schema"])
            if not fields[name] or entry.keys() - _ALLOWED["model-field"]:
                return {}
        return {schema["cls"]: _model_of(fields, defaults)}

    _READERS: Mapping[str, Callable[[_Reader, dict[str, Any]], Plain]] = {
        **dict.fromkeys(("any", "int", "str", "bool", "float", "none", "date", "uuid"), _scalar),
        "datetime": _datetime, "literal": _literal, "enum": _enum, "default": _default,
        "nullable": _nullable, "list": _list, "dict": _dict, "union": _union, "model": _model,
    }  # fmt: skip


def _has_exact_zone(moment: datetime) -> bool:
    zone = moment.tzinfo
    return zone is UTC or zone is None or (type(zone) is TzInfo and zone == UTC)


def _all_of(items: Plain) -> Callable[[Iterable[Any]], bool]:
    """Return what decides for several values whether all come back."""
    always = frozenset(kind for kind, check in items.items() if check is None)
    comes_back_as_item = partial(comes_back, items)
    return lambda values: (
        always.issuperset(map(type, values)) or all(map(comes_back_as_item, values))
    )


def _have_plain_items(come_back: Callable[[Iterable[Any]], bool], given: Mapping[Any, Any]) -> bool:
    return _KEYS.issuperset(map(type, given)) and come_back(given.values())


def _model_of(fields: Mapping[str, Plain], defaults: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Return what decides for an instance of a model, which may have been changed unchecked.

    Args:
        fields: what comes back in each field.
        defaults: the defaults of the fields that have one; they are not written if they are unset.
    """
    names, checks = frozenset(fields), [(name, plain.get) for name, plain in fields.items()]

    def come_back(model: BaseModel) -> bool:
        values, given = model.__dict__, model.__pydantic_fields_set__
        for name, find in checks:
            value = values.get(name, _MISSING)
            check = find(type(value), never)
            if check is not None and not check(value):
                return False
        if model.__pydantic_extra__ or model.__pydantic_private__:
            return False
        for name in () if given == names else names - given:
            value, default = values[name], defaults.get(name, _MISSING)
            if value is not default and not is_same(value, default):
                return False
        return True

    return come_back


def _default_of(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the default of a field, if it has one that is always equal."""
    if schema["type"] != "default":
        return {}
    if "default" in schema:
        return {name: schema["default"]}
    factory = schema.get("default_factory")
    return {name: factory()} if factory in (list, dict) else {}


_NONE = type(None)
_SCALARS: frozenset[type] = frozenset({int, str, bool, float, _NONE})
_TEXTS: frozenset[type] = frozenset({str, date, UUID})
"""Types that are written as text; each of them reads its own texts back exactly."""

_KEYS = frozenset({str})
_MISSING = object()
_KINDS: Mapping[str, frozenset[type]] = {
    "any": _SCALARS, "int": frozenset({int}), "str": frozenset({str}), "bool": frozenset({bool}),
    "float": frozenset({float}), "none": frozenset({_NONE}), "date": frozenset({date}),
    "uuid": frozenset({UUID}),
}  # fmt: skip
_BOUNDS = {"gt", "ge", "lt", "le", "multiple_of"}
_LENGTHS = {"min_length", "max_length"}
_CONSTRAINTS = _BOUNDS | _LENGTHS
_COMMON = {"type", "metadata", "ref", "strict"}
_ALLOWED: Mapping[str, set[str]] = {
    **dict.fromkeys(_KINDS, _COMMON),
    "int": _COMMON | _BOUNDS,
    "float": _COMMON | _BOUNDS,
    "str": _COMMON | _LENGTHS,
    "literal": _COMMON | {"expected"},
    "enum": _COMMON | {"cls", "members", "sub_type", "missing"},
    "datetime": _COMMON | {"microseconds_precision"},
    "default": _COMMON | {"schema", "default", "default_factory", "default_factory_takes_data"},
    "nullable": _COMMON | {"schema"},
    "list": _COMMON | {"items_schema"},
    "dict": _COMMON | {"keys_schema", "values_schema"},
    "union": _COMMON | {"choices"},
    "model": _COMMON
    | {"cls", "schema", "config", "custom_init", "root_model", "post_init", "frozen"},
    "model-fields": _COMMON | {"fields", "model_name", "computed_fields"},
    "model-field": _COMMON | {"schema", "frozen"},
}
"""The entries of each schema that do not change a value between writing and reading."""

_ALIASES = {"validation_alias", "serialization_alias"}
_CONFIG = {"title", "strict", "frozen", "extra_fields_behavior"}
