"""Reads one field of a cron text.

A field is a list of parts. A part is ``*``, a value, a range ``a-b``, each perhaps with a step
``/n`` (``a/n`` runs on to the end of the field), or ``H``, or one of the day extensions. Nothing
is expanded before its numbers have been checked against the bounds of the field.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, NoReturn

from duly.errors import did_you_mean
from duly.triggers.wallclock.day_rules import (
    DayRule,
    LastDay,
    MonthDays,
    NearestWorkday,
    NthWeekday,
    Weekdays,
)

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What a field may hold: its name, bounds, and names for numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    hash_high: int | None = None


SECOND = Field("second", 0, 59)
MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY_OF_MONTH = Field("day-of-month", 1, 31, hash_high=28)
MONTH = Field("month", 1, 12, MONTHS)
DAY_OF_WEEK = Field("day-of-week", 0, 7, WEEKDAYS, hash_high=6)

_RANGE = re.compile(
    r"(\*|[0-9]+|[a-z]+)(?:-([0-9]+|[a-z]+))?(?:/([0-9]+))?", re.ASCII | re.IGNORECASE
)
_HASH = re.compile(r"H(?:\(([0-9]+)-([0-9]+)\))?(?:/([0-9]+))?", re.ASCII)
_LAST = re.compile(r"L(?:-([0-9]+))?", re.ASCII)
_WORKDAY = re.compile(r"([0-9]+|L)W", re.ASCII | re.IGNORECASE)
_NTH = re.compile(r"([0-9]+|[a-z]+)(?:#([0-9]+)|(L))", re.ASCII | re.IGNORECASE)


class Part(NamedTuple):
    """What stands between two commas of a field, and where it starts there."""

    text: str
    offset: int
    field: Field

    def refuse(self, problem: str) -> NoReturn:
        """Raise the error that names this part."""
        raise FieldProblem(problem, self)


class FieldProblem(Exception):
    """A part of a field cannot be read; the caller knows where the field stands.

    Attributes:
        problem: what is wrong.
        part: the part at fault.
    """

    def __init__(self, problem: str, part: Part) -> None:
        super().__init__(problem)
        self.problem, self.part = problem, part


# Most crons share their fields with many others ("0", "*", "1-5"), so what was read is remembered
# field by field: reading a new cron of known fields then takes a few microseconds.


@lru_cache(maxsize=4096)
def read_numbers(text: str, field: Field, job_id: str) -> tuple[int, ...]:
    """The sorted values of a field that holds only numbers.

    Raises:
        FieldProblem: a part cannot be read.
    """
    return tuple(sorted({n for part in _split(text, field) for n in _plain(part, job_id)}))


@lru_cache(maxsize=4096)
def read_days_of_month(text: str, job_id: str) -> tuple[DayRule, ...]:
    """The rules of a day-of-month field.

    Raises:
        FieldProblem: a part cannot be read.
    """
    rules: list[DayRule] = []
    numbers: set[int] = set()
    for part in _split(text, DAY_OF_MONTH):
        if found := _LAST.fullmatch(part.text):
            back = _number(part, found[1], 0, 30, "days before the last") if found[1] else 0
            rules.append(LastDay(back))
        elif found := _WORKDAY.fullmatch(part.text):
            last = found[1] in "Ll"
            rules.append(NearestWorkday(None if last else _value(part, found[1])))
        else:
            numbers.update(_plain(part, job_id))
    return (MonthDays(tuple(sorted(numbers))), *rules) if numbers else tuple(rules)


@lru_cache(maxsize=4096)
def read_days_of_week(text: str, job_id: str) -> tuple[DayRule, ...]:
    """The rules of a day-of-week field.

    Raises:
        FieldProblem: a part cannot be read.
    """
    rules: list[DayRule] = []
    numbers: set[int] = set()
    for part in _split(text, DAY_OF_WEEK):
        if part.text in ("L", "l"):
            part.refuse("'L' needs a weekday here, such as '5L' or 'friL' for the last Friday")
        if (found := _NTH.fullmatch(part.text)) and (found[2] or _is_day(found[1])):
            nth = _number(part, found[2], 1, 5, "which one in the month") if found[2] else None
            rules.append(NthWeekday(_value(part, found[1]) % 7, nth))
        else:
            numbers.update(number % 7 for number in _plain(part, job_id))
    return (Weekdays(tuple(sorted(numbers))), *rules) if numbers else tuple(rules)


def _split(text: str, field: Field) -> Iterator[Part]:
    offset = 0
    for piece in text.split(","):
        part = Part(piece, offset, field)
        if not piece:
            part.refuse("there is nothing before or after a comma")
        yield part
        offset += len(piece) + 1


def _plain(part: Part, job_id: str) -> range:
    """The values of a part that is no day extension."""
    field = part.field
    if found := _HASH.fullmatch(part.text):
        return _hashed(part, found, job_id)
    found = _RANGE.fullmatch(part.text)
    if found is None:
        part.refuse(_diagnosis(part))
    first, last, step = found.groups()
    if first == "*":
        if last:
            part.refuse("'*' means the whole range already and cannot begin one")
        low, high = field.low, _top(field)
    else:
        low = _value(part, first)
        high = low if last is None else _value(part, last, ends_range=True)
        if last is None and step:
            high = _top(field)
    if low > high:
        part.refuse(f"the range runs backwards; write '{_wrapped(part, low, high)}'")
    return range(low, high + 1, _step(part, step))


def _hashed(part: Part, found: re.Match[str], job_id: str) -> range:
    """``H``: a value that depends on the job's id, so that many jobs spread over the range."""
    field = part.field
    low, high = field.low, field.hash_high or field.high
    if found[1]:
        low, high = _value(part, found[1]), _value(part, found[2])
        if low > high:
            part.refuse(f"the range runs backwards; write 'H({high}-{low})'")
    digest = hashlib.sha256(f"{field.name}\0{job_id}".encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    if not found[3]:
        value = low + number % (high - low + 1)
        return range(value, value + 1)
    step = _step(part, found[3])
    return range(low + number % min(step, high - low + 1), high + 1, step)


def _value(part: Part, text: str, *, ends_range: bool = False) -> int:
    field = part.field
    if text[0].isdigit():
        return _number(part, text, field.low, field.high, field.name)
    name = text.lower()
    if name not in field.names:
        part.refuse(f"unknown name {text[:20]!r}{did_you_mean(name[:20], field.names)}")
    value = field.names.index(name) + field.low
    return 7 if ends_range and name == "sun" else value


def _number(part: Part, digits: str, low: int, high: int, what: str) -> int:
    if len(digits) > 4 or not low <= int(digits) <= high:
        hint = "; midnight is hour 0" if what == "hour" and digits == "24" else ""
        part.refuse(f"{digits[:20]} is outside {low}-{high} ({what}){hint}")
    return int(digits)


def _step(part: Part, digits: str | None) -> int:
    if digits is None:
        return 1
    if not digits.strip("0"):
        part.refuse("a step of 0 never moves; leave the step out, or use 1 or more")
    span = _top(part.field) - part.field.low + 1
    if len(digits) > 4 or int(digits) > span:
        part.refuse(f"the step {digits[:20]} is larger than the range, which holds {span} values")
    return int(digits)


def _top(field: Field) -> int:
    """The end of ``*`` and of ``a/n``; Sunday counts once, as 0."""
    return 6 if field is DAY_OF_WEEK else field.high


def _is_day(text: str) -> bool:
    return text.isdigit() or text.lower() in WEEKDAYS


def _wrapped(part: Part, low: int, high: int) -> str:
    """How to write a range that was meant to run over the end of the field."""
    field = part.field
    shown = field.names if part.text[0].isalpha() else tuple(map(str, range(60)))[field.low :]

    def piece(a: int, b: int) -> str:
        texts = shown[a - field.low], shown[b - field.low]
        return texts[0] if a == b else "-".join(texts)

    return f"{piece(low, _top(field))},{piece(field.low, high)}"


def _diagnosis(part: Part) -> str:
    text, field = part.text, part.field
    if "?" in text:
        return "'?' belongs to Quartz; write '*'"
    if text.upper() == "H" or text.startswith("h("):
        return "write 'H' as a capital letter"
    if "/" in text and not text.rpartition("/")[2].isdigit():
        return "after '/' comes a whole number, as in '*/5'"
    if any(mark in text for mark in "LW#") and field not in (DAY_OF_MONTH, DAY_OF_WEEK):
        return "'L', 'W' and '#' belong to the day fields"
    if "#" in text and field is DAY_OF_MONTH:
        return "'#' belongs to the day-of-week field, as in 'tue#3'"
    if "W" in text and field is DAY_OF_WEEK:
        return "'W' belongs to the day-of-month field, as in '15W'"
    if "--" in text or text.startswith("-"):
        return "a range is written with one '-', as in '1-5'"
    return "expected '*', a value, a range such as '1-5', or either with a step such as '/5'"
