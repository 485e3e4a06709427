"""The form of a task's arguments shows every stored value, and changes only what was typed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from duly import secret
from duly.model.payload import decode, encode
from duly.model.signature import Signature
from duly.web.dashboard.forms.arguments import (
    TypedArguments,
    argument_texts,
    every,
    read_arguments,
    shown_arguments,
)
from duly.web.dashboard.forms.fields import Field as Input
from duly.web.dashboard.forms.fields import fields_of


class Level(Enum):
    """How urgent it is."""

    low = "low"
    high = "high"


class Address(BaseModel):
    """Where it goes."""

    street: str = Field(description="Street and number")
    zip: int = 0
    notes: list[str] = []


class Node(BaseModel):
    name: str
    below: Node | None = None


def ship(  # noqa: PLR0917 - called by name only
    order: int,
    address: Address,
    level: Level = Level.low,
    carrier: Literal["dhl", "ups"] = "dhl",
    note: str | None = None,
    text: str = "hello",
    on: date | None = None,
    after: datetime | None = None,
    weight: Annotated[float, Field(ge=0, le=50, description="In kilograms")] = 1.5,
    fragile: bool = False,
    insured: bool | None = None,
    back_to: Address | None = None,
    labels: list[str] = [],  # noqa: B006 - as users write it
    counts: list[int] = [],  # noqa: B006
    prices: dict[str, float] = {},  # noqa: B006
    price: Decimal = Decimal("9.90"),
    either: int | str = 3,
    tree: Node | None = None,
    anything: Any = None,
    api_key: str = "",
) -> None:
    """Ship a parcel."""


SHIP = Signature(ship, "ship")
GIVEN = {"order": 7, "address": {"street": "Main street"}}


def form_of(function: Callable[..., Any], stored: dict[str, Any] | None = None) -> list[Input]:
    shown = None if stored is None else shown_arguments(stored)
    return list(fields_of(Signature(function, "t").schema(), shown))


def typed(function: Callable[..., Any], stored: dict[str, Any], **texts: Any) -> TypedArguments:
    """Type texts into the form of stored arguments; ``__`` in a name stands for a slash."""
    fields = form_of(function, stored)
    changes = {
        f"args/{name.replace('__', '/')}": [text] if isinstance(text, str) else text
        for name, text in texts.items()
    }
    return read_arguments(
        Signature(function, "t"), fields, stored, {**argument_texts(fields), **changes}
    )


def stored_after(function: Callable[..., Any], stored: dict[str, Any], **texts: Any) -> Any:
    """The arguments that would be stored."""
    found = typed(function, stored, **texts)
    assert found.problems == {}
    return decode(Signature(function, "t").encode(found.values))


def test_the_kind_of_each_input() -> None:
    """Each type has an input of its own; what nothing else fits is written as JSON."""
    kinds = {each.name.removeprefix("args/"): each.kind for each in every(form_of(ship))}
    assert kinds.items() >= {
        "order": "number", "address": "group", "address/street": "text", "address/zip": "number",
        "address/notes": "lines", "level": "choice", "carrier": "choice", "note": "text",
        "on": "date", "after": "text", "weight": "number", "fragile": "flag",
        "insured": "choice", "back_to": "group", "labels": "lines", "counts": "lines",
        "prices": "json", "price": "text", "either": "json", "tree": "group",
        "tree/below": "group", "anything": "json",
    }.items()  # fmt: skip


def test_defaults_descriptions_and_limits_are_shown() -> None:
    """The input starts with the default; only what has none is required."""
    inputs = {each.name.removeprefix("args/"): each for each in every(form_of(ship))}
    assert [name for name, each in inputs.items() if each.required and "/" not in name] == [
        "order", "address",
    ]  # fmt: skip
    assert (inputs["text"].text, inputs["weight"].text, inputs["level"].text) == (
        "hello", "1.5", '"low"',
    )  # fmt: skip
    assert inputs["weight"].note == "In kilograms"
    assert inputs["weight"].limits == {"min": "0", "max": "50", "step": "any"}
    assert inputs["address/street"].note == "Street and number"
    assert inputs["level"].choices == (('"low"', "low"), ('"high"', "high"))
    assert inputs["back_to"].box == "args/back_to~given"
    assert inputs["address"].box is None


def test_what_was_typed_becomes_values() -> None:
    """Each text becomes a value of its type; what equals the default is not stored."""
    stored = stored_after(
        ship,
        {},
        order="7",
        address__street="Main street",
        address__notes="ring twice\r\n\r\nback door\r\n",
        level='"high"',
        note="hi",
        text="hello",
        on="2026-12-24",
        after="2026-12-24T18:00:00+01:00",
        fragile="true",
        insured="false",
        counts="1\n2",
        prices='{"net": 1.5}',
        either='"seven"',
        **{"back_to~given": "true", "back_to__street": "Side street"},
    )
    assert stored == {
        "order": 7,
        "address": {"street": "Main street", "notes": ["ring twice", "back door"]},
        "level": "high",
        "note": "hi",
        "on": "2026-12-24",
        "after": "2026-12-24T18:00:00+01:00",
        "fragile": True,
        "insured": False,
        "counts": [1, 2],
        "prices": {"net": 1.5},
        "either": "seven",
        "back_to": {"street": "Side street"},
    }


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("order", "x", "Write a whole number."),
        ("order", "", "Is missing"),
        ("weight", "51", "less than or equal to 50"),
        ("weight", "nan", "Write a number."),
        ("on", "tomorrow", "valid date"),
        ("after", "noon", "valid datetime"),
        ("counts", "1\nx", "Write a whole number."),
        ("prices", "{", "Write JSON"),
        ("prices", '{"net": "x"}', "net: Input should be a valid number"),
        ("address__zip", "x", "Write a whole number."),
        ("address__street", "", "Field required|Is missing"),
        ("carrier", '"fedex"', "'dhl' or 'ups'"),
    ],
)
def test_each_problem_is_at_its_input(name: str, text: str, problem: str) -> None:
    """Also inside of an object, and where only the function's own types find it."""
    found = typed(ship, GIVEN, **{name: text})
    assert list(found.problems) == [f"args/{name.replace('__', '/')}"]
    assert any(part in found.problems[f"args/{name.replace('__', '/')}"] for part in
               problem.split("|"))  # fmt: skip


def test_what_was_emptied() -> None:
    """``None`` where that is allowed, an empty text or list, or the default again."""
    stored = {
        **GIVEN,
        "note": "hi",
        "text": "bye",
        "weight": 2.5,
        "labels": ["a"],
        "on": "2026-12-24",
    }
    after = stored_after(ship, stored, note="", text="", weight="", labels="", on="")
    assert after == {**GIVEN, "note": None, "text": "", "labels": [], "on": None}


def test_an_object_without_a_tick_is_not_given() -> None:
    """What was typed into it does not count."""
    stored = {**GIVEN, "back_to": {"street": "Side street"}}
    assert stored_after(ship, stored, **{"back_to~given": []}) == {**GIVEN, "back_to": None}


def test_hidden_values_are_kept() -> None:
    """A value that is not shown stays as it is, until another one is typed."""
    stored = {**GIVEN, "api_key": "hunter2", "note": "postgres://me:pass@host/x"}
    shown = {each.name: each.text for each in every(form_of(ship, stored))}
    assert "hunter2" not in repr(shown)
    assert "pass" not in repr(shown)
    assert stored_after(ship, stored, order="8") == {**stored, "order": 8}
    assert stored_after(ship, stored, api_key="new")["api_key"] == "new"
    found = typed(ship, stored, note="postgres://[hidden]@other/x")
    assert list(found.problems) == ["args/note"]


def test_secrets_are_references() -> None:
    """``secret("NAME")`` is stored by its name, and shown as it was typed."""
    stored = decode(SHIP.encode({**GIVEN, "address": Address(street=secret("STREET"))}))
    inputs = {each.name: each.text for each in every(form_of(ship, stored))}
    assert inputs["args/address/street"] == 'secret("STREET")'
    assert stored_after(ship, stored, order="8")["$secrets"] == {"/address/street": "STREET"}
    after = stored_after(ship, stored, api_key='secret("KEY")')
    assert after["$secrets"] == {"/address/street": "STREET", "/api_key": "KEY"}
    assert after["api_key"] == "${KEY}"


def test_other_arguments_of_an_open_function() -> None:
    """``**kwargs`` are written as one JSON object."""

    def send(to: str, **more: int) -> None: ...

    assert stored_after(send, {}, to="ana", **{"~x": []}) == {"to": "ana"}
    fields = form_of(send, {"to": "ana", "copies": 2})
    assert fields[-1].text == '{\n  "copies": 2\n}'
    texts = {**argument_texts(fields), "args~more": ['{"copies": 3}']}
    found = read_arguments(Signature(send, "t"), fields, {"to": "ana", "copies": 2}, texts)
    assert found.values == {"to": "ana", "copies": 3}


def test_arguments_that_no_longer_fit_are_shown() -> None:
    """A stored value of another type is shown as JSON, and reported at its input."""
    found = typed(ship, {**GIVEN, "weight": "heavy"})
    assert list(found.problems) == ["args/weight"]
    assert {each.name: each.text for each in form_of(ship, {**GIVEN, "weight": "heavy"})}[
        "args/weight"
    ] == '"heavy"'


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ADDRESSES = st.fixed_dictionaries(
    {"street": TEXTS}, optional={"zip": st.integers(), "notes": st.lists(TEXTS, max_size=3)}
)
TREES: Any = st.recursive(
    st.fixed_dictionaries({"name": TEXTS}),
    lambda below: st.fixed_dictionaries({"name": TEXTS, "below": below | st.none()}),
    max_leaves=8,
)
NUMBERS = st.floats(0, 50) | st.integers(0, 50)
ARGUMENTS = st.fixed_dictionaries(
    {"order": st.integers(), "address": ADDRESSES},
    optional={
        "level": st.sampled_from(["low", "high"]),
        "carrier": st.sampled_from(["dhl", "ups"]),
        "note": st.none() | TEXTS,
        "text": TEXTS,
        "on": st.none() | st.dates().map(date.isoformat),
        "after": st.none() | st.datetimes().map(datetime.isoformat),
        "weight": NUMBERS,
        "fragile": st.booleans(),
        "insured": st.none() | st.booleans(),
        "back_to": st.none() | ADDRESSES,
        "labels": st.lists(TEXTS, max_size=3),
        "counts": st.lists(st.integers(), max_size=3),
        "prices": st.dictionaries(TEXTS, NUMBERS, max_size=2),
        "price": st.decimals(0, 100, places=2).map(str),
        "either": st.integers() | TEXTS,
        "tree": st.none() | TREES,
        "anything": st.none() | st.integers() | TEXTS | st.lists(TEXTS, max_size=2),
        "api_key": TEXTS,
    },
)


def as_browser(texts: dict[str, list[str]]) -> dict[str, list[str]]:
    """What a browser sends for inputs that were left alone."""
    return {
        name: [
            text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n") for text in each
        ]
        for name, each in texts.items()
    }


@given(ARGUMENTS)
def test_a_form_that_is_sent_untouched_changes_nothing(stored: dict[str, Any]) -> None:
    """Whatever is stored comes back exactly, after a browser has changed the ends of lines."""
    fields = list(fields_of(SHIP.schema(), shown_arguments(stored)))
    found = read_arguments(SHIP, fields, stored, as_browser(argument_texts(fields)))
    assert not found.changed
    assert found.problems == {}
    assert found.values == SHIP.decode(SHIP.accept(encode(stored)))


@given(ARGUMENTS, st.integers())
def test_one_change_changes_one_value(stored: dict[str, Any], order: int) -> None:
    """The others stay exactly as they are."""
    fields = list(fields_of(SHIP.schema(), shown_arguments(stored)))
    texts = {**as_browser(argument_texts(fields)), "args/order": [str(order)]}
    found = read_arguments(SHIP, fields, stored, texts)
    assert found.values == SHIP.decode(SHIP.accept(encode({**stored, "order": order})))
    assert found.changed == (order != stored["order"])
