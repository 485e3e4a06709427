"""Arguments are validated against the function's signature, when stored and when read."""

from __future__ import annotations

import enum
import functools
import json
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Optional
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field, Secret, SecretStr, field_validator

from duly import Run
from duly.errors import ArgumentsError, ConfigurationError, PayloadError
from duly.model.signature import Signature


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Address(BaseModel):
    street: str
    number: int | None = None


class Customer(BaseModel):
    name: str
    addresses: list[Address] = []
    born: date | None = None


@dataclass
class Point:
    x: float
    y: float


def signature(function: Any) -> Signature:
    return Signature(function, "work")


def round_trip(annotation: Any, value: Any) -> Any:
    """The value that a function with one parameter of this type receives."""

    def work(value: Any) -> None: ...

    work.__annotations__["value"] = annotation
    parameters = signature(work)
    text = parameters.encode({"value": value})
    assert text.isascii()
    assert parameters.accept(text) == text
    return parameters.decode(text)["value"]


# ------------------------------------------------------------------------ what is refused


def test_arguments_are_not_converted() -> None:
    """Validation is strict: "7" is not an int, 1 is not a bool, 7 is not a string."""

    def work(n: int, flag: bool = False, word: str = "") -> None: ...

    parameters = signature(work)
    for given, what in (
        ({"n": "7"}, "n: Input should be a valid integer"),
        ({"n": 7.0}, "n: Input should be a valid integer"),
        ({"n": True}, "n: Input should be a valid integer"),
        ({"n": 7, "flag": 1}, "flag: Input should be a valid boolean"),
        ({"n": 7, "word": 7}, "word: Input should be a valid string"),
    ):
        with pytest.raises(ArgumentsError, match=what):
            parameters.encode(given)


def test_unknown_names_are_refused_with_the_nearest_one() -> None:
    """A misspelled name is reported at once, with the closest match."""

    def send(exchange_id: int, days_before: int = 3) -> None: ...

    with pytest.raises(
        ArgumentsError,
        match=r"arguments of task 'work': exchange_ident: the function has no such parameter; "
        r"did you mean 'exchange_id'\?",
    ):
        signature(send).encode({"exchange_id": 1, "exchange_ident": 1})


def test_missing_arguments_are_named_all_at_once() -> None:
    """One error lists everything that is wrong."""

    def send(to: str, subject: str, body: str = "") -> None: ...

    with pytest.raises(ArgumentsError) as error:
        signature(send).encode({"body": 1})
    for part in ("to: is missing", "subject: is missing", "body: Input should be"):
        assert part in str(error.value)


def test_a_value_is_never_repeated_in_the_error() -> None:
    """Errors are logged and displayed, so a misplaced password must not appear in them."""

    def work(password: int) -> None: ...

    with pytest.raises(ArgumentsError) as error:
        signature(work).encode({"password": "hunter2-secret"})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("given", [[1, 2], "text", 5, [("n", 1)]], ids=repr)
def test_arguments_must_be_names_and_values(given: Any) -> None:
    """A list instead of a mapping raises Duly's error, not a TypeError from within."""

    def work(n: int = 0) -> None: ...

    with pytest.raises(ArgumentsError, match="names and values"):
        signature(work).encode(given)


def test_names_that_are_not_strings_are_rejected() -> None:
    """A mapping with a number as key is rejected, even if the function takes any name."""

    def work(**rest: int) -> None: ...

    with pytest.raises(ArgumentsError):
        signature(work).encode({1: 2})  # type: ignore[dict-item]


NAN = float("nan")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, NAN),
        (float, float("inf")),
        (Any, NAN),
        (Any, {"deep": [NAN]}),
        (dict[str, float], {"a": NAN}),
        (dict, {"a": NAN}),
        (list, [float("inf")]),
        (Decimal, Decimal("NaN")),
        (Point, Point(NAN, 1.0)),
    ],
    ids=str,
)
def test_nan_is_refused_and_never_becomes_none(annotation: Any, value: Any) -> None:
    """JSON has no NaN: the caller gets an error, and the function never gets a substitute."""
    with pytest.raises((ArgumentsError, PayloadError)):
        round_trip(annotation, value)


def test_nan_among_free_names_is_refused() -> None:
    """NaN is also rejected for a ``**rest`` parameter."""

    def work(**rest: Any) -> None: ...

    with pytest.raises((ArgumentsError, PayloadError)):
        signature(work).encode({"a": NAN})


@pytest.mark.parametrize("value", ["\ud800", {"a": "\udfff"}, ["\ud800"]], ids=ascii)
def test_text_that_is_not_unicode_is_rejected(value: Any) -> None:
    """A lone surrogate, as in a badly decoded file name, raises Duly's error."""
    with pytest.raises((ArgumentsError, PayloadError)):
        round_trip(Any, value)
    with pytest.raises(ArgumentsError):
        round_trip(str, "\ud800")


def test_arguments_are_bounded_in_size_and_depth() -> None:
    """Beyond 64 KiB or 32 levels the error names the task (security rule 2)."""
    with pytest.raises(PayloadError, match=r"arguments of 'work': \d+ bytes of JSON"):
        round_trip(str, "x" * 70_000)
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    with pytest.raises(PayloadError, match="JSON is nested more than 32 levels deep"):
        round_trip(Any, deep)


def test_an_argument_that_contains_itself_is_rejected() -> None:
    """A cycle raises Duly's error."""
    circle: dict[str, Any] = {}
    circle["self"] = circle
    with pytest.raises((PayloadError, ArgumentsError)):
        round_trip(Any, circle)


@pytest.mark.parametrize(
    "value", [threading.Lock(), object(), lambda: None], ids=["lock", "o", "f"]
)
def test_an_object_without_json_form_is_refused(value: Any) -> None:
    """Nothing is pickled: an object without a JSON form is an error for the caller."""
    with pytest.raises(PayloadError, match="arguments of 'work'"):
        round_trip(Any, value)


# ----------------------------------------------------------------- what arrives unchanged


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 10**40),
        (int, -(2**63)),
        (float, 0.1),
        (float, 1e308),
        (str, "NUL \x00, tab \t, emoji 😀, ü, \u2028"),
        (bytes, b"plain bytes"),
        (bool, False),
        (None, None),
        (int | None, None),
        (Optional[int], 3),  # noqa: UP045 - people write it so
        (int | str, "7"),
        (Literal["a", "b"], "b"),
        (list[int], [1, 2, 3]),
        (tuple[int, str], (1, "a")),
        (set[int], {3, 1, 2}),
        (dict[str, list[int]], {"a": [1], "b": []}),
        (dict[int, str], {1: "a", -2: "b"}),
        (dict[UUID, int], {UUID(int=5): 1}),
        (Decimal, Decimal("0.10")),
        (UUID, UUID("12345678-1234-5678-1234-567812345678")),
        (Colour, Colour.BLUE),
        (Level, Level.HIGH),
        (date, date(2026, 2, 28)),
        (time, time(23, 59, 59, 999999)),
        (timedelta, timedelta(days=-1, microseconds=1)),
        (datetime, datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)),
        (datetime, datetime(2026, 5, 4, 3, 2, 1)),  # noqa: DTZ001 - an argument is no instant
        (PurePosixPath, PurePosixPath("/tmp/x")),
        (Address, Address(street="Calle Mayor", number=3)),
        (Customer, Customer(name="Ana", addresses=[Address(street="x")], born=date(2000, 1, 1))),
        (list[Customer], [Customer(name="Ana"), Customer(name="Bo")]),
        (Point, Point(1.5, 2.0)),
        (Annotated[int, Field(ge=1, le=5)], 5),
    ],
    ids=str,
)
def test_a_value_arrives_as_it_was_given(annotation: Any, value: Any) -> None:
    """The function receives a value that equals the caller's and has the same type."""
    again = round_trip(annotation, value)
    assert again == value
    assert type(again) is type(value)


def test_an_aware_datetime_keeps_its_instant() -> None:
    """The zone becomes an offset, and the instant stays the same to the microsecond."""
    for zone in (ZoneInfo("Europe/Madrid"), timezone(timedelta(hours=-3, minutes=-30))):
        given = datetime(2026, 3, 29, 3, 30, 0, 1, tzinfo=zone)
        again = round_trip(datetime, given)
        assert again == given
        assert again.utcoffset() == given.utcoffset()


def test_constraints_hold_when_stored_and_when_read() -> None:
    """`Annotated` constraints are checked when arguments are stored and when they are read."""

    def work(stars: Annotated[int, Field(ge=1, le=5)]) -> None: ...

    parameters = signature(work)
    with pytest.raises(ArgumentsError, match="stars: Input should be less than or equal to 5"):
        parameters.encode({"stars": 6})
    with pytest.raises(ArgumentsError, match="stars"):
        parameters.decode('{"stars":6}')


def test_defaults_are_not_stored() -> None:
    """Only the given arguments are stored, so a changed default reaches stored jobs."""

    def before(n: int, wait: int = 1) -> None: ...

    text = signature(before).encode({"n": 1})
    assert text == '{"n":1}'
    assert signature(before).decode(text) == {"n": 1}

    def after(n: int, wait: int = 2) -> None: ...

    assert signature(after).decode(text) == {"n": 1}


def test_a_function_without_parameters_takes_nothing() -> None:
    """It accepts no arguments and rejects any."""

    def work() -> None: ...

    assert signature(work).encode({}) == "{}"
    assert signature(work).decode("{}") == {}
    with pytest.raises(ArgumentsError, match="n: the function has no such parameter"):
        signature(work).encode({"n": 1})


def test_a_parameter_without_annotation_takes_any_json_value() -> None:
    """An unannotated parameter accepts any value that JSON can represent."""

    def work(value, *, other=None): ...

    parameters = signature(work)
    assert parameters.decode(parameters.encode({"value": {"a": [1, None, "x"]}})) == {
        "value": {"a": [1, None, "x"]}
    }


def test_free_names_are_kept() -> None:
    """A function with ``**rest`` gets every further name, even one used by the model inside."""

    def work(n: int, **rest: Any) -> None: ...

    parameters = signature(work)
    given = {"n": 1, "p0": "mine", "model_config": "mine", "with space": [1]}
    assert parameters.decode(parameters.encode(given)) == given
    assert parameters.names == ("n",)


def test_free_names_keep_their_type() -> None:
    """``**rest: int`` accepts integers only."""

    def work(**rest: int) -> None: ...

    parameters = signature(work)
    assert parameters.decode(parameters.encode({"a": 1})) == {"a": 1}
    with pytest.raises(ArgumentsError, match="a: "):
        parameters.encode({"a": "text"})


@pytest.mark.parametrize("name", ["self", "model_config", "p0", "schema", "json", "copy", "class_"])
def test_any_parameter_name_will_do(name: str) -> None:
    """Names with a meaning for the validation library are ordinary here."""
    scope: dict[str, Any] = {}
    exec(f"def work({name}: int, p1: int = 0): ...", scope)
    parameters = signature(scope["work"])
    assert parameters.decode(parameters.encode({name: 3})) == {name: 3}


# --------------------------------------------------------------------------- the context


def test_the_run_is_not_an_argument() -> None:
    """Duly supplies a parameter annotated `Run`; callers cannot pass it."""

    def work(n: int, run: Run) -> None: ...

    parameters = signature(work)
    assert parameters.names == ("n",)
    assert parameters.injected == {"run": Run}
    assert parameters.encode({"n": 1}) == '{"n":1}'
    with pytest.raises(ArgumentsError, match="run: Duly supplies it; leave it out"):
        parameters.encode({"n": 1, "run": {}})


def test_an_optional_run_is_supplied_too() -> None:
    """``run: Run | None = None`` allows plain calls in tests, and a run supplies it."""

    def modern(n: int, run: Run | None = None) -> None: ...

    def old(n: int, run: Optional[Run] = None) -> None: ...  # noqa: UP045

    def noted(n: int, run: Annotated[Run, "context"]) -> None: ...

    for function in (modern, old, noted):
        parameters = signature(function)
        assert parameters.names == ("n",)
        assert parameters.injected == {"run": Run}
        assert parameters.encode({"n": 1}) == '{"n":1}'


def test_free_names_cannot_hide_the_run() -> None:
    """With ``**rest``, an argument named like the `Run` parameter is rejected, not dropped."""

    def work(run: Run, **rest: Any) -> None: ...

    with pytest.raises(ArgumentsError, match="run: "):
        signature(work).encode({"run": 5})
    with pytest.raises(ArgumentsError, match="run: "):
        signature(work).decode('{"run":5}')


# ------------------------------------------------------------- functions that cannot be tasks


def test_positional_parameters_are_refused() -> None:
    """Stored arguments are names and values: ``*args`` and ``/`` cannot be filled."""

    def star(*numbers: int) -> None: ...

    def slash(n: int, /) -> None: ...

    for function, name in ((star, "numbers"), (slash, "n")):
        with pytest.raises(
            ConfigurationError, match=rf"task 'work': parameter '{name}' cannot be passed by name"
        ):
            signature(function)


def test_an_annotation_that_cannot_be_found_is_named() -> None:
    """The error states the missing name and where to import it."""

    def work(n: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(
        ConfigurationError,
        match=r"task 'work': an annotation uses 'Missing', .* import it at the top",
    ):
        signature(work)


@pytest.mark.parametrize("text", ["not python(", "enum.Missing", "1 | 'x'", "list[", "1 / 0"])
def test_an_unreadable_annotation_raises_duly_s_error(text: str) -> None:
    """Whatever is wrong with an annotation, the error names the task."""

    def work(n: Any) -> None: ...

    work.__annotations__["n"] = text
    with pytest.raises(ConfigurationError, match="task 'work'"):
        signature(work)


@pytest.mark.parametrize("annotation", [threading.Lock, Signature, "threading.Thread"], ids=str)
def test_a_parameter_without_a_json_form_is_rejected(annotation: Any) -> None:
    """A parameter such as a connection or a lock is reported when the task is registered."""

    def work(n: Any) -> None: ...

    work.__annotations__["n"] = annotation
    with pytest.raises(
        ConfigurationError, match=r"task 'work': .*parameter 'n' cannot be stored as JSON"
    ):
        signature(work)


def test_a_builtin_without_signature_is_refused() -> None:
    """Some functions written in C do not declare their parameters."""
    for function in (min, dict, type):
        with pytest.raises(ConfigurationError, match="task 'work'"):
            signature(function)


def test_partials_methods_and_decorated_functions_work() -> None:
    """The visible signature counts: a parameter that a partial fills in is a default."""

    class Service:
        def act(self, n: int, run: Run) -> None: ...

    def plain(n: int, word: str) -> None: ...

    @functools.wraps(plain)
    def wrapped(*args: Any, **kwargs: Any) -> None: ...

    assert signature(Service().act).names == ("n",)
    assert signature(functools.partial(plain, word="x")).encode({"n": 1}) == '{"n":1}'
    assert signature(wrapped).names == ("n", "word")


# -------------------------------------------------------------------------- reading back


class Touchy(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def check(cls, value: int) -> int:
        """Look the value up, badly."""
        return {1: 1}[value]


def test_a_validator_that_raises_counts_as_an_invalid_argument() -> None:
    """A faulty validator must fail its own run, and not the worker that reads the arguments."""

    def work(touchy: Touchy) -> None: ...

    parameters = signature(work)
    text = parameters.encode({"touchy": Touchy(n=1)})
    assert parameters.decode(text) == {"touchy": Touchy(n=1)}
    with pytest.raises(ArgumentsError, match="a validator failed: KeyError"):
        parameters.decode('{"touchy":{"n":2}}')
    with pytest.raises(ArgumentsError):
        parameters.encode({"touchy": {"n": 2}})


def test_stored_arguments_that_no_longer_match_say_what_changed() -> None:
    """When a deployment renames a parameter, the error names the old and the new name."""

    def now(exchange: int) -> None: ...

    with pytest.raises(ArgumentsError) as error:
        signature(now).decode('{"exchange_id":1}')
    assert "exchange: is missing" in str(error.value)
    assert "exchange_id: the function has no such parameter; did you mean 'exchange'?" in str(
        error.value
    )


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", "5", '{"n":1', '{"n":NaN}', "null"])
def test_stored_text_that_is_not_an_object_is_rejected(text: str) -> None:
    """A damaged row raises Duly's error, whatever its content."""

    def work(n: int) -> None: ...

    with pytest.raises((ArgumentsError, PayloadError)):
        signature(work).decode(text)
    with pytest.raises((ArgumentsError, PayloadError)):
        signature(work).accept(text)


def test_external_json_is_stored_in_canonical_form() -> None:
    """`accept` checks JSON text and returns the canonical text, so equal arguments are equal."""

    def work(n: int, word: str = "") -> None: ...

    parameters = signature(work)
    assert parameters.accept(' { "word": "\u00fc", "n": 1 } ') == '{"n":1,"word":"\\u00fc"}'
    with pytest.raises(ArgumentsError, match="n: "):
        parameters.accept('{"n":"1"}')
    with pytest.raises(PayloadError, match="bytes of JSON"):
        parameters.accept(json.dumps({"n": 1, "word": "x" * 70_000}))


def test_the_schema_describes_the_arguments() -> None:
    """The JSON Schema for forms has titles, types, defaults and required names, but no `Run`."""

    def send(to: str, days: Annotated[int, Field(ge=0)] = 3, run: Run | None = None) -> None: ...

    schema = Signature(send, "send").schema()
    assert schema["title"] == "send"
    assert schema["required"] == ["to"]
    assert set(schema["properties"]) == {"to", "days"}
    assert schema["properties"]["days"]["default"] == 3
    assert schema["properties"]["days"]["minimum"] == 0
    assert schema["additionalProperties"] is False


class Account(BaseModel):
    owner: str
    parent: Account | None = None
    keys: list[SecretStr] = []


@pytest.mark.parametrize(
    "annotation",
    [SecretStr, SecretStr | None, Secret[int], Account, dict[str, list[Account]]],
    ids=str,
)
def test_secret_types_are_rejected_instead_of_stored_masked(annotation: Any) -> None:
    """A type that serialises as asterisks would be stored so: the error says what to do."""

    def login(user: str, password: Any) -> None: ...

    login.__annotations__["password"] = annotation
    with pytest.raises(
        ConfigurationError,
        match=r"task 'work': parameter 'password' contains a .*; secrets are not",
    ):
        signature(login)
