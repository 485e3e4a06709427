"""JSON as Duly stores it: canonical text, limited in size and depth, without NaN."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sized
from itertools import islice
from typing import Any

from duly.errors import PayloadError
from duly.model.text import safe_str

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_ITEMS = MAX_BYTES // 2
"""The maximum number of items of a result: each takes a byte and a comma at least."""

_RESULT = "the result"
_SCALARS = frozenset((type(None), bool, int, float))

_encoder = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=True
)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a valid JSON value")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def encode(value: Any) -> str:
    """Return a value as canonical JSON text: sorted keys, no spaces, ASCII only.

    Raises:
        PayloadError: the value is not a JSON value, or contains NaN or infinity.
    """
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"cannot be stored as JSON: {error}") from error


def decode(text: str | bytes, *, max_depth: int | None = None) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the JSON text.
        max_depth: the largest number of levels; default: no limit but that of the interpreter.

    Raises:
        PayloadError: the text is not valid JSON, or is nested more deeply than ``max_depth``.
    """
    try:
        value = _decoder.decode(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"not valid JSON: {error}") from error
    if max_depth is not None and _depth(value) > max_depth:
        raise PayloadError(f"not valid: JSON is nested more than {max_depth} levels deep")
    return value


def checked(text: str, what: str) -> str:
    """Return a JSON text unchanged if it is within the limits.

    Args:
        text: the JSON text.
        what: a description of the text for the error message.

    Raises:
        PayloadError: it is larger than 64 KiB or nested more than 32 levels deep.
    """
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_BYTES:
        raise _too_large(what, f"{size} bytes")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(decode(text)) > MAX_DEPTH:
        raise PayloadError(f"{what}: JSON is nested more than {MAX_DEPTH} levels deep")
    return text


def encode_result(value: Any) -> str | None:
    """Return what a function returned as JSON text, or ``None`` for ``None``.

    A value that cannot be stored becomes ``{"not_stored": <the reason>}``, because a run that has
    done its work must not fail because of its return value. Iterators are read; a value that is
    certainly too large is refused before it is encoded, which would occupy the interpreter.
    """
    if value is None:
        return None
    from pydantic_core import to_json  # noqa: PLC0415 - costs 30 ms

    try:
        text = to_json(_read(value, [MAX_ITEMS]), inf_nan_mode="null").decode()
        return checked(encode(decode(checked(text, _RESULT))), _RESULT)
    except Exception as error:  # noqa: BLE001 - a foreign value may raise anything
        return not_stored(error)


def not_stored(reason: BaseException) -> str:
    """Return what is stored instead of a result that cannot be stored."""
    return encode({"not_stored": safe_str(reason, 500)})


def _read(value: Any, left: list[int]) -> Any:
    """Return a value with its iterators read.

    Args:
        value: what a function returned, or a part of it.
        left: the number of items that it may still have, counted down.

    Raises:
        PayloadError: it has more, or contains a text that is too long.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is not list and kind is not dict and kind is not tuple:
        if isinstance(value, str | bytes | bytearray):
            if len(value) > MAX_BYTES:
                raise _too_large(_RESULT, f"{len(value) + 2} bytes")
            return value
        if isinstance(value, Iterator):
            value, kind = list(islice(value, left[0] + 1)), list
        elif not isinstance(value, Sized):
            return value
    left[0] -= len(value)
    if left[0] < 0:
        raise _too_large(_RESULT, f"more than {MAX_ITEMS} items")
    if kind is dict:
        return {key: _read(item, left) for key, item in value.items()}
    return [_read(item, left) for item in value] if kind is list or kind is tuple else value


def _too_large(what: str, size: str) -> PayloadError:
    return PayloadError(
        f"{what}: {size} of JSON exceed the limit of {MAX_BYTES}; "
        "store the data elsewhere and pass its id"
    )


def _depth(value: Any) -> int:
    deepest, level = 0, [(value, 1)]
    while level:
        item, depth = level.pop()
        deepest = max(deepest, depth)
        if isinstance(item, Mapping):
            level.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            level.extend((child, depth + 1) for child in item)
    return deepest
