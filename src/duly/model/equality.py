"""Strict equality: whether a value that was read back is the one that was written."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any, NamedTuple

_SCALARS = frozenset({int, str, bool, float, bytes, type(None)})
_KEYS = frozenset({str})


class Difference(NamedTuple):
    """Two values, in the same place of two structures, that differ in type or value.

    Attributes:
        path: the place: ``""`` for the whole, ``[2].name`` inside.
    """

    path: str
    left: Any
    right: Any


def is_same(left: Any, right: Any) -> bool:
    """Return whether two values are equal, and so are their types, at every depth.

    Unlike ``==``, this distinguishes 1 from True and from 1.0, and looks into models, dataclasses
    and objects without an ``__eq__`` of their own. Aware datetimes are equal if they have the same
    wall time and the same UTC offset.
    """
    kind = type(left)
    if kind is not type(right):
        return False
    if kind in _SCALARS:
        return bool(left == right)
    if kind is list or kind is tuple:
        return len(left) == len(right) and all(map(is_same, left, right))
    if kind is dict and _KEYS.issuperset(map(type, left)):
        return left.keys() == right.keys() and all(
            is_same(value, right[key]) for key, value in left.items()
        )
    if kind is datetime:
        return _wall(left) == _wall(right)
    model: Any = kind
    names = _model_fields(model)
    if names is not None and not (left.__pydantic_extra__ or left.__pydantic_private__):
        one, other = vars(left), vars(right)
        return all(is_same(one.get(name), other.get(name)) for name in names)
    return next(differences(left, right), None) is None


def differences(left: Any, right: Any, path: str = "") -> Iterator[Difference]:
    """Yield where two values differ, as `is_same` compares them."""
    kind: Any = type(left)
    if left is right:
        return
    if kind is not type(right):
        yield Difference(path, left, right)
    elif isinstance(left, list | tuple):
        yield from _of_items(left, right, path)
    elif isinstance(left, Mapping):
        yield from _of_mappings(left, right, path)
    elif (parts := _parts(left)) is not None:
        yield from _of_parts(parts, _parts(right) or {}, path)
    elif not _are_equal(left, right):
        yield Difference(path, left, right)


def _are_equal(left: Any, right: Any) -> bool:
    """Return whether two values of one type, which have no parts, are equal."""
    if isinstance(left, Set):
        return {(type(item), item) for item in left} == {(type(item), item) for item in right}
    if isinstance(left, datetime):
        return _wall(left) == _wall(right)
    return not _has_no_equality(type(left)) and bool(left == right)


def is_equal_base(left: Any, right: Any) -> bool:
    """Return whether ``right`` is the same date or time as ``left``, which has a subclass's type.

    pandas and freezegun have such subclasses; with nanoseconds a value differs from every datetime.
    """
    if not isinstance(left, date | time) or not isinstance(left, type(right)):
        return False
    if isinstance(left, datetime):
        return _wall(left) == _wall(right)
    return bool(left == right)


def is_narrowed(left: Any, right: Any) -> bool:
    """Return whether a conversion from ``left`` to ``right`` has lost something.

    That is so for an instance of a subclass that became one of the base class, and for an int that
    a float cannot express.
    """
    if isinstance(left, int) and isinstance(right, float):
        return left != right
    return isinstance(left, type(right)) and type(left) is not type(right)


def _of_items(left: Any, right: Any, path: str) -> Iterator[Difference]:
    if len(left) != len(right):
        yield Difference(path, left, right)
        return
    for index, (one, other) in enumerate(zip(left, right, strict=True)):
        yield from differences(one, other, f"{path}[{index}]")


def _of_mappings(left: Any, right: Any, path: str) -> Iterator[Difference]:
    keys = {(type(key), key) for key in left}
    if keys != {(type(key), key) for key in right}:
        one = next((key for key in left if key not in right), None)
        other = next((key for key in right if key not in left), None)
        yield Difference(f"{path} (a key)", one, other)
        return
    for key, value in left.items():
        yield from differences(value, right[key], f"{path}[{key!r}]" if path else f"[{key!r}]")


def _of_parts(left: dict[str, Any], right: dict[str, Any], path: str) -> Iterator[Difference]:
    for name in left.keys() | right.keys():
        where = f"{path}.{name}"
        if name not in left or name not in right:
            yield Difference(where, left.get(name), right.get(name))
        else:
            yield from differences(left[name], right[name], where)


def _parts(value: Any) -> dict[str, Any] | None:
    """Return what a model, a dataclass or a plain object consists of; ``None`` for other values."""
    kind: Any = type(value)
    if is_dataclass(kind):
        return {
            field.name: getattr(value, field.name)
            for field in fields(kind)
            if hasattr(value, field.name)
        }
    model_fields = _model_fields(kind)
    if model_fields is not None:
        own = {name: value.__dict__[name] for name in model_fields if name in value.__dict__}
        return own | (value.__pydantic_extra__ or {}) | (value.__pydantic_private__ or {})
    if _has_no_equality(kind) and hasattr(value, "__dict__"):
        return dict(vars(value))
    return None


@lru_cache(maxsize=1024)
def _model_fields(kind: Hashable) -> tuple[str, ...] | None:
    """Return the names of the fields of a pydantic model; ``None`` for another class."""
    model_fields = getattr(kind, "__pydantic_fields__", None)
    return None if model_fields is None or is_dataclass(kind) else tuple(model_fields)


def _has_no_equality(kind: Any) -> bool:
    return kind.__eq__ is object.__eq__


def _wall(moment: datetime) -> tuple[datetime, Any]:
    """Return wall time and offset: to Python, ambiguous times of two zones are never equal."""
    return moment.replace(tzinfo=None, fold=0), moment.utcoffset()
