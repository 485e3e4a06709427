"""JSON as it is stored: canonical, bounded, and nothing that a database or a reader rejects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.errors import PayloadError
from duly.model import payload

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(PLAIN)
def test_what_is_stored_is_read_back(value: Any) -> None:
    """Every plain value is unchanged, including NUL, lone surrogates and emoji in strings."""
    text = payload.encode(value)
    assert payload.decode(text) == value
    assert payload.encode(payload.decode(text)) == text


@given(st.text())
def test_stored_text_is_ascii_without_control_characters(value: str) -> None:
    """PostgreSQL rejects NUL and lone surrogates in text; the JSON escapes them."""
    text = payload.encode({"key": value, value: 1})
    assert text.isascii()
    assert text.isprintable()


def test_equal_values_give_equal_text() -> None:
    """Declarations are compared as text, so key order and white space must not matter."""
    one = payload.encode({"b": [1, 2], "a": {"y": 1, "x": 2}})
    other = payload.encode({"a": {"x": 2, "y": 1}, "b": [1, 2]})
    assert one == other == '{"a":{"x":2,"y":1},"b":[1,2]}'


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), {"a": [float("nan")]}, object(), b"bytes", {1, 2}],
    ids=lambda value: type(value).__name__,
)
def test_values_without_a_json_form_are_rejected(value: Any) -> None:
    """NaN, infinity and objects have no JSON form, and the error says so."""
    with pytest.raises(PayloadError, match="cannot be stored as JSON"):
        payload.encode(value)


def test_a_value_that_contains_itself_is_rejected() -> None:
    """A cycle raises an error, and neither hangs nor crashes the interpreter."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(PayloadError, match="cannot be stored as JSON"):
        payload.encode(circle)


def test_a_value_too_deep_for_the_interpreter_is_refused() -> None:
    """A hundred thousand brackets raise Duly's error, when written and when read."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(PayloadError):
        payload.encode(deep)
    with pytest.raises(PayloadError):
        payload.decode("[" * 100_000 + "]" * 100_000)
    with pytest.raises(PayloadError):
        payload.checked("[" * 30_000 + "]" * 30_000, "the arguments")


@pytest.mark.parametrize("text", ["", "{", "nul", "'a'", "[1,]", '"\\x"', b"\xff\xfe"])
def test_text_that_is_not_json_is_rejected(text: str | bytes) -> None:
    """A damaged row raises Duly's own error."""
    with pytest.raises(PayloadError, match="not valid JSON"):
        payload.decode(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", '{"a": -Infinity}'])
def test_nan_is_not_read_either(text: str) -> None:
    """Python's parser accepts NaN and JSON does not: it is rejected on input as well."""
    with pytest.raises(PayloadError, match="not valid JSON"):
        payload.decode(text)


def test_the_size_is_bounded_at_64_kib() -> None:
    """65,536 bytes pass; one more is rejected with the size, the limit and what to do."""
    fits = json.dumps("x" * (64 * 1024 - 2))
    assert payload.checked(fits, "the arguments") == fits
    with pytest.raises(
        PayloadError, match=r"the arguments: 65537 bytes .* limit of 65536; store .* pass its id"
    ):
        payload.checked(fits[:-1] + 'x"', "the arguments")


def test_size_is_counted_in_bytes_not_in_characters() -> None:
    """JSON from outside may hold any character: 30,000 euro signs are 90,000 bytes."""
    with pytest.raises(PayloadError, match="90002 bytes"):
        payload.checked('"' + "€" * 30_000 + '"', "the arguments")


def test_the_depth_is_bounded_at_32_levels() -> None:
    """32 levels pass and 33 do not; brackets side by side do not count as depth."""
    payload.checked("[" * 32 + "]" * 32, "x")
    payload.checked("[" + ",".join(["{}"] * 1000) + "]", "x")
    payload.checked(json.dumps("[" * 1000), "x")
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        with pytest.raises(PayloadError, match="x: JSON is nested more than 32 levels deep"):
            payload.checked(opening * 33 + "1" + closing * 33, "x")


def test_a_number_too_long_to_read_is_refused() -> None:
    """Python cannot read integers of more than 4,300 digits; Duly's own error is raised."""
    with pytest.raises(PayloadError, match="not valid JSON"):
        payload.decode("1" * 5000)
