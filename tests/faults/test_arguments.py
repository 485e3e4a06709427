"""What is accepted when a call is enqueued is what its function receives."""

from __future__ import annotations

import enum
import re
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    RootModel,
    StringConstraints,
    computed_field,
    field_serializer,
)
from typing_extensions import TypedDict

from duly import Scheduler, VirtualClock, every
from duly.errors import ArgumentsError, DulyError, PayloadError
from duly.model.arguments import Arguments
from duly.model.equality import is_same

MADRID = ZoneInfo("Europe/Madrid")
REFUSED = (ArgumentsError, PayloadError)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Status(enum.StrEnum):
    PAID = "paid"


class Priority(enum.IntEnum):
    HIGH = 1


class Shade(enum.Enum):
    DARK = (0, 0, 0)


class Holiday(enum.Enum):
    EPIPHANY = date(2026, 1, 6)


class Rate(enum.Enum):
    REDUCED = Decimal("0.10")


@dataclass
class Order:
    number: int
    total: int = field(init=False, default=0)


@dataclass
class Position:
    x: float
    y: float


@dataclass(eq=False)
class Token:
    text: str


class Address(BaseModel):
    street: str


class PostalAddress(Address):
    code: str = "28001"


class Parcel(BaseModel):
    weight: int

    @computed_field
    def price(self) -> int:
        return self.weight * 3


class StrictParcel(Parcel):
    model_config = ConfigDict(extra="forbid")


class Renamed(BaseModel):
    street: str = Field(alias="streetName")


class TwoNames(BaseModel):
    street: str = Field(validation_alias="streetName", serialization_alias="strasse")


class Masked(BaseModel):
    number: str

    @field_serializer("number")
    def masked(self, number: str) -> str:
        return number[-4:]


class Ticket(BaseModel):
    id: UUID = Field(default_factory=uuid4)
    valid: date = Field(default_factory=date.today)
    seats: list[int] = []


class Loose(BaseModel):
    data: Any = None


class Pair(NamedTuple):
    left: int
    right: str


class Movie(TypedDict, total=False):
    title: str
    year: int


class Money(int):
    """A subclass of int, as money libraries have it."""


class Timestamp(datetime):
    """A datetime of pandas: it counts nanoseconds too."""

    nanosecond = 0

    def replace(self, *args: Any, **fields: Any) -> Timestamp:
        moment = super().replace(*args, **fields)
        moment.nanosecond = self.nanosecond
        return moment

    def __eq__(self, other: object) -> bool:
        return self.nanosecond == 0 and datetime.__eq__(self, other)

    __hash__ = datetime.__hash__


class FakeDatetime(datetime):
    """A datetime of freezegun."""


def precise() -> Timestamp:
    moment = Timestamp(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    moment.nanosecond = 7
    return moment


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    made = Scheduler(prepared_sqlite_url, clock=VirtualClock())
    yield made
    made.stop(grace=0)
    made.store.dispose()


class Receives:
    """A task with one parameter, ``value``, that remembers what it received."""

    def __init__(self, scheduler: Scheduler, annotation: Any) -> None:
        def work(value: Any) -> None:
            self.received = value

        work.__annotations__ = {} if annotation is NONE else {"value": annotation}
        self._scheduler = scheduler
        self.task = scheduler.task()(work)

    def enqueue(self, value: Any) -> Any:
        """What the function receives when its run is executed."""
        run_id = self.task.enqueue(args={"value": value})
        self._scheduler.run_due()
        run = self._scheduler.run(run_id)
        assert run.state == "succeeded", run.error_message
        return self.received


NONE = object()
"""For a parameter without an annotation."""


def kind(value: Any) -> str:
    """The same id in every process."""
    return type(value).__name__


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Shade, Shade.DARK),
        (Holiday, Holiday.EPIPHANY),
        (Rate, Rate.REDUCED),
        (list[Shade], [Shade.DARK]),
        (Literal[Colour.RED], Colour.RED),
        (dict[tuple[int, int], str], {(1, 2): "a"}),
        (Order, Order(7)),
        (TwoNames, TwoNames(streetName="Calle Mayor")),
        (Masked, Masked(number="1234567812345678")),
        (PurePosixPath, PurePosixPath("broken-\udcff")),
        (dict[Any, int], {"\ud800": 1}),
        (str | datetime, datetime(2026, 5, 4, tzinfo=UTC)),
        (str | UUID, str(UUID(int=5))),
        (str | date | None, date(2026, 5, 4)),
        (Colour | str, Colour.RED),
        (set[int] | list[int], {1, 2}),
        (list[int] | tuple[int, ...], (1, 2)),
        (int, Priority.HIGH),
        (int, Money(3)),
        (str, Status.PAID),
        (list[int], [1, Money(3)]),
        (dict[str, int], defaultdict(int, {"a": 1})),
        (dict[str, int], OrderedDict({"a": 1})),
        (Address, PostalAddress(street="x")),
        (list[Address], [PostalAddress(street="x")]),
        (Sequence[int], (1, 2)),
        (Iterable[int], [1, 2]),
        (Loose, Loose(data=(1, 2))),
        (Loose, Loose(data={"deep": [UUID(int=1)]})),
        (Address | Parcel, PostalAddress(street="x")),
        (float, 2**53 + 1),
        (datetime, precise()),
        (Annotated[int, PlainSerializer(lambda n: n + 1)], 3),
        (bytes, b"\xff\xfe"),
        (Any, (1, 2)),
        (Any, datetime(2026, 5, 4, tzinfo=UTC)),
        (Any, {1: "a"}),
        (Any, {"deep": [Decimal(1)]}),
        (Any, {1, 2}),
        (Any, Status.PAID),
        (Any, Address(street="x")),
        (dict, {"when": date(2026, 5, 4)}),
        (list, [(1, 2)]),
        (NONE, datetime(2026, 5, 4, tzinfo=UTC)),
        (NONE, (1, 2)),
        (NONE, {1: "a"}),
        (NONE, UUID(int=5)),
        (NONE, Position(1.0, 2.0)),
        (NONE, b"bytes"),
        (NONE, timedelta(seconds=1)),
    ],
    ids=kind,
)
def test_U11_an_argument_that_would_not_come_back_is_refused(
    scheduler: Scheduler, annotation: Any, value: Any
) -> None:
    """The call is refused at once, and the message names the parameter."""
    task = Receives(scheduler, annotation).task
    with pytest.raises(REFUSED, match="value"):
        task.enqueue(args={"value": value})
    with pytest.raises(REFUSED, match=r"calls\[0\]: .*value"):
        scheduler.enqueue_many(task, [{"value": value}])
    with pytest.raises(REFUSED, match="value"):
        scheduler.add(task, every(hours=1), args={"value": value})
    assert scheduler.runs() == []


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Colour, Colour.RED),
        (Status, Status.PAID),
        (Priority, Priority.HIGH),
        (Literal["a", 1], 1),
        (Position, Position(1.5, 2.0)),
        (list[Position], [Position(1.5, 2.0)]),
        (Address, Address(street="x")),
        (PostalAddress, PostalAddress(street="x")),
        (Parcel, Parcel(weight=2)),
        (StrictParcel, StrictParcel(weight=2)),
        (Renamed, Renamed(streetName="x")),
        (Ticket, Ticket()),
        (list[Ticket], [Ticket(seats=[1])]),
        (Loose, Loose(data={"a": [1, 2.5, None, True]})),
        (Address | Parcel, Parcel(weight=3)),
        (Pair, Pair(1, "a")),
        (Movie, {"title": "Vertigo"}),
        (deque[int], deque([1, 2])),
        (frozenset[str], frozenset("ab")),
        (set[int] | list[int], [1, 2]),
        (str | datetime, "2026-05-04T00:00:00Z"),
        (Colour | int, Colour.RED),
        (int | datetime, datetime(2026, 5, 4, tzinfo=UTC)),
        (Colour | str, "green"),
        (dict[date, Decimal], {date(2026, 5, 4): Decimal("1.10")}),
        (dict[int, list[UUID]], {1: [UUID(int=1)]}),
        (tuple[int, ...], (1, 2)),
        (datetime, datetime(2026, 3, 29, 2, 30, tzinfo=MADRID)),
        (datetime, datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=MADRID)),
        (time, time(9, 30)),
        (Any, {"a": [1, 2.5, None, True, "x"]}),
        (Any, 10**4000),
        (NONE, [{"a": []}, ""]),
        (bytes, b"plain"),
        (Json[list[int]] | None, None),
    ],
    ids=kind,
)
def test_U11_an_argument_that_is_accepted_arrives_equal_and_of_its_type(
    scheduler: Scheduler, annotation: Any, value: Any
) -> None:
    """The function receives what was given, in type and in value."""
    received = Receives(scheduler, annotation).enqueue(value)
    assert type(received) is type(value)
    if isinstance(value, datetime):
        assert received.replace(tzinfo=None, fold=0) == value.replace(tzinfo=None, fold=0)
        assert received.utcoffset() == value.utcoffset()
    else:
        assert received == value


def test_U11_objects_without_equality_are_compared_by_what_they_hold(scheduler: Scheduler) -> None:
    """A class does not need an ``__eq__`` to be an argument."""
    assert Receives(scheduler, Token).enqueue(Token("a")).text == "a"


@pytest.mark.parametrize(
    ("annotation", "value", "received"),
    [
        (Annotated[str, AfterValidator(str.strip)], " a ", "a"),
        (Annotated[str, StringConstraints(to_lower=True)], "Ana", "ana"),
        (Annotated[int, BeforeValidator(int)], "7", 7),
        (Annotated[Decimal, BeforeValidator(Decimal)], 1.5, Decimal("1.5")),
        (Json[list[int]], "[1]", [1]),
        (float, 7, 7.0),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (datetime, FakeDatetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 4, tzinfo=UTC)),
        (datetime, Timestamp(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 4, tzinfo=UTC)),
    ],
    ids=kind,
)
def test_U11_what_the_users_own_validators_convert_arrives_converted(
    scheduler: Scheduler, annotation: Any, value: Any, received: Any
) -> None:
    """So do an int for a float, and the datetimes of pandas and freezegun without loss."""
    again = Receives(scheduler, annotation).enqueue(value)
    assert again == received
    assert type(again) is type(received)


def test_U11_fields_that_were_not_set_stay_unset(scheduler: Scheduler) -> None:
    """A function that changes only the given fields, as for PATCH, does so in a run as well."""
    received = Receives(scheduler, PostalAddress).enqueue(PostalAddress(street="x"))
    assert received.model_dump(exclude_unset=True) == {"street": "x"}


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (
            NONE,
            datetime(2026, 5, 4, tzinfo=UTC),
            "arguments of task 'work': value: a datetime would arrive as a str, because arguments "
            "are stored as JSON; annotate the parameter, as in value: datetime, or pass a str",
        ),
        (
            Any,
            {"rows": [1, (2, 3)]},
            "arguments of task 'work': value['rows'][1]: a tuple would arrive as a list, because "
            "arguments are stored as JSON; annotate the parameter so that only a tuple fits, or "
            "pass a list",
        ),
        (
            str | datetime,
            datetime(2026, 5, 4, tzinfo=UTC),
            "value: a datetime would arrive as a str, because arguments are stored as JSON; "
            "annotate the parameter so that only a datetime fits, or pass a str",
        ),
        (str, Status.PAID, "value: a Status would arrive as a str, .* only a Status fits"),
        (Masked, Masked(number="12345678"), r"value\.number: a str would arrive with another v"),
        (Shade, Shade.DARK, r"value: Input should be .* read back\); use plain types such as str"),
        (bytes, b"\xff", r"value: .*invalid utf-8.*; arguments are stored as JSON, so pass plain"),
        (NONE, object(), "value: Unable to serialize unknown type.*; arguments are stored as JSON"),
    ],
    ids=kind,
)
def test_U11_the_message_names_the_parameter_and_the_cure(
    scheduler: Scheduler, annotation: Any, value: Any, message: str
) -> None:
    """It tells what would happen, why, and what to write instead; it never repeats the value."""
    task = Receives(scheduler, annotation).task
    literal = message if ".*" in message or "\\" in message else re.escape(message)
    with pytest.raises(DulyError, match=literal):
        task.enqueue(value)


class Limited(BaseModel):
    """A model as applications have them, whose instances need not be read back."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(gt=0)
    name: str = Field("x", max_length=5)
    unit: Literal["kg", "g"] = "kg"
    colour: Colour = Colour.RED
    price: float | None = None
    key: UUID = UUID(int=0)
    day: date | None = None
    seen: datetime | None = None
    tags: list[str] = []
    extra: dict[str, int | str] = Field(default_factory=dict)
    address: Address | None = None
    parcels: list[Address] = []
    free: Any = None


class Numbers(RootModel[list[int]]):
    """A model that is written as its only value."""


class Tree(BaseModel):
    """A model that contains itself."""

    children: list[Tree] = []


class Rounded(BaseModel):
    price: Annotated[float, AfterValidator(lambda price: round(price, 2))]


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)

    name: str


class Counted(BaseModel):
    name: str

    def model_post_init(self, context: Any, /) -> None:
        self.name += "!"


class Hidden(BaseModel):
    name: str
    secret: str = Field("", exclude=True)


def limited(**changes: Any) -> Limited:
    """An instance that was changed after its validation."""
    made = Limited(count=1, address=Address(street="x"), parcels=[Address(street="y")])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def read_back(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments that were read back while calls were stored."""
    texts: list[str] = []
    decode = Arguments.decode

    def counting(self: Arguments, text: str) -> dict[str, Any]:
        texts.append(text)
        return decode(self, text)

    monkeypatch.setattr(Arguments, "decode", counting)
    return texts


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Address, Address(street="x")),
        (Address | None, Address(street="x")),
        (list[Address], [Address(street="x")]),
        (PostalAddress, PostalAddress(street="x")),
        (Limited, limited()),
        (Limited, limited(count=3, name="abc", unit="g", colour=Colour.BLUE, price=1.5)),
        (Limited, limited(key=UUID(int=7), day=date(2026, 5, 4), tags=["a"], extra={"a": 1})),
        (Limited, limited(seen=datetime(2026, 5, 4, tzinfo=UTC), free="text")),
        (Colour, Colour.RED),
        (Literal["a", "b"], "a"),
        (list[date], [date(2026, 5, 4)]),
        (Annotated[int, Field(ge=0)], 3),
    ],
    ids=kind,
)
def test_U11_models_of_plain_fields_are_not_read_back(
    scheduler: Scheduler, read_back: list[str], annotation: Any, value: Any
) -> None:
    """Their schema proves that they come back; reading them cost half of a bulk enqueue."""
    receives = Receives(scheduler, annotation)
    receives.task.enqueue(args={"value": value})
    assert read_back == []
    received = receives.enqueue(value)
    assert is_same(received, value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Parcel, Parcel(weight=1)),
        (Renamed, Renamed(streetName="x")),
        (Ticket, Ticket()),
        (Numbers, Numbers([1])),
        (Tree, Tree(children=[Tree()])),
        (Rounded, Rounded(price=1.234)),
        (Stripped, Stripped(name="x")),
        (Limited, limited(seen=datetime(2026, 5, 4, tzinfo=MADRID))),
        (Limited, limited(free={"a": [1]})),
        (Shade, Shade.DARK),
        (Priority, Priority.HIGH),
    ],
    ids=kind,
)
def test_U11_what_is_not_proved_is_read_back(
    scheduler: Scheduler, read_back: list[str], annotation: Any, value: Any
) -> None:
    """Validators, serializers, aliases, settings and unknown types are no proof."""
    with suppress(*REFUSED):
        Receives(scheduler, annotation).task.enqueue(args={"value": value})
    assert read_back


def unchecked(model: Any, **fields: Any) -> Any:
    """An instance that was never validated."""
    return model.model_construct(**fields)


def appended() -> Limited:
    """An instance whose field changed although it was never set."""
    made = limited()
    made.tags.append("a")
    return made


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Limited, limited(count=-1)),
        (Limited, limited(count=True)),
        (Limited, limited(name="too long")),
        (Limited, limited(unit="lb")),
        (Limited, limited(price=2**53 + 1)),
        (Limited, limited(day=datetime(2026, 5, 4, tzinfo=UTC))),
        (Limited, limited(tags=("a",))),
        (Limited, limited(tags=[Status.PAID])),
        (Limited, limited(extra={1: 2})),
        (Limited, limited(address=PostalAddress(street="x"))),
        (Limited, limited(address=unchecked(Address, street=1))),
        (Limited, limited(parcels=[PostalAddress(street="x")])),
        (Limited, limited(free=(1, 2))),
        (Limited, limited(colour="red")),
        (Limited, appended()),
        (Limited, unchecked(Limited)),
        (Address, unchecked(Address)),
        (Address, Address.model_construct(street="x", _fields_set=set())),
        (Counted, Counted(name="x")),
        (Hidden, Hidden(name="x", secret="y")),
    ],
    ids=kind,
)
def test_U11_an_instance_that_was_changed_unchecked_is_no_proof(
    scheduler: Scheduler, annotation: Any, value: Any
) -> None:
    """A model is not validated again when it is passed, so its fields may hold anything."""
    with pytest.raises(REFUSED):
        Receives(scheduler, annotation).task.enqueue(args={"value": value})


def test_U11_every_named_and_free_argument_is_compared(scheduler: Scheduler) -> None:
    """Also those of ``**rest``, and also beside others that are fine."""

    @scheduler.task()
    def work(number: int, **rest: Any) -> None: ...

    with pytest.raises(ArgumentsError, match="extra: a tuple would arrive as a list"):
        work.enqueue(number=1, extra=(1, 2))
    work.enqueue(number=1, extra=[1, 2])


def test_U11_an_equality_that_raises_is_an_error_of_duly(scheduler: Scheduler) -> None:
    """A foreign ``__eq__`` may raise anything; the caller gets Duly's error."""

    @dataclass
    class Odd:
        zone: int

    class Hostile(Timestamp):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparison")

        __hash__ = datetime.__hash__

    with pytest.raises(ArgumentsError, match="no comparison"):
        Receives(scheduler, datetime).task.enqueue(Hostile(2026, 1, 1, tzinfo=UTC))


class LocalMeanTime(tzinfo):
    """An offset with seconds, as zones had before 1900."""

    def utcoffset(self, _moment: datetime | None) -> timedelta:
        return timedelta(minutes=-14, seconds=-44)

    def dst(self, _moment: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, _moment: datetime | None) -> str:
        return "LMT"


def test_U11_an_offset_with_seconds_does_not_become_another(scheduler: Scheduler) -> None:
    """A datetime never arrives as another instant."""
    moment = datetime(1850, 1, 1, tzinfo=LocalMeanTime())
    with pytest.raises(ArgumentsError, match="value: a datetime would arrive with another value"):
        Receives(scheduler, datetime).task.enqueue(moment)
