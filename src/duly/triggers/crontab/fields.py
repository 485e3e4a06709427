"""Read one field of a cron expression.

A field is a comma-separated list of parts. A part is ``*``, a value or a range ``a-b``, optionally
with a step ``/n`` (``a/n`` runs to the end of the field), or ``H``, or one of the day extensions.
Numbers are checked against the bounds of the field before any range is expanded.
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
    """One of the six fields.

    Attributes:
        name: the name that error messages use, such as ``"day-of-month"``.
        low: the lowest value.
        high: the highest value.
        names: the names of the values, starting with that of ``low``.
        hash_high: the highest value that ``H`` produces; default ``high``.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    hash_high: int | None = None

    @property
    def noun(self) -> str:
        """The name of one value of the field: "minute", "day of the month"."""
        return self.name.replace("-of-", " of the ")


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
    """The text between two commas of a field.

    Attributes:
        text: the text.
        offset: the position in the field at which it starts, counted from 0.
        field: the field.
    """

    text: str
    offset: int
    field: Field

    def reject(self, problem: str) -> NoReturn:
        """Raise the error that points at this part."""
        raise FieldProblem(problem, self)


class FieldProblem(Exception):
    """A part of a field is invalid; the caller adds the position of the field.

    Attributes:
        problem: what is wrong, and what to write instead.
        part: the invalid part.
    """

    def __init__(self, problem: str, part: Part) -> None:
        super().__init__(problem)
        self.problem, self.part = problem, part


# Most expressions share their fields ("0", "*", "1-5"), so each field is cached by itself: reading
# a new expression made of known fields then takes a few microseconds.


@lru_cache(maxsize=4096)
def read_numbers(text: str, field: Field, job_id: str) -> tuple[int, ...]:
    """Return the sorted values of a field that is not a day field.

    Args:
        text: the text of the field.
        field: which field it is.
        job_id: the id that ``H`` is hashed from.

    Raises:
        FieldProblem: a part is invalid.
    """
    return tuple(sorted({n for part in _split(text, field) for n in _plain(part, job_id)}))


@lru_cache(maxsize=4096)
def read_days_of_month(text: str, job_id: str) -> tuple[DayRule, ...]:
    """Return the rules of a day-of-month field; the arguments are those of `read_numbers`.

    Raises:
        FieldProblem: a part is invalid.
    """
    rules: list[DayRule] = []
    numbers: set[int] = set()
    for part in _split(text, DAY_OF_MONTH):
        if match := _LAST.fullmatch(part.text):
            back = _number(part, match[1], 0, 30, "offset from the last day") if match[1] else 0
            rules.append(LastDay(back))
        elif match := _WORKDAY.fullmatch(part.text):
            last = match[1] in "Ll"
            rules.append(NearestWorkday(None if last else _value(part, match[1])))
        else:
            numbers.update(_plain(part, job_id))
    return (MonthDays(tuple(sorted(numbers))), *rules) if numbers else tuple(rules)


@lru_cache(maxsize=4096)
def read_days_of_week(text: str, job_id: str) -> tuple[DayRule, ...]:
    """Return the rules of a day-of-week field; the arguments are those of `read_numbers`.

    Raises:
        FieldProblem: a part is invalid.
    """
    rules: list[DayRule] = []
    numbers: set[int] = set()
    for part in _split(text, DAY_OF_WEEK):
        if part.text in ("L", "l"):
            part.reject("'L' needs a weekday here, as in '5L' or 'friL' for the last Friday")
        if (match := _NTH.fullmatch(part.text)) and (match[2] or _is_weekday(match[1])):
            nth = _number(part, match[2], 1, 5, "week of the month") if match[2] else None
            rules.append(NthWeekday(_value(part, match[1]) % 7, nth))
        else:
            numbers.update(number % 7 for number in _plain(part, job_id))
    return (Weekdays(tuple(sorted(numbers))), *rules) if numbers else tuple(rules)


def _split(text: str, field: Field) -> Iterator[Part]:
    offset = 0
    for piece in text.split(","):
        part = Part(piece, offset, field)
        if not piece:
            part.reject("a value is missing before or after a comma")
        yield part
        offset += len(piece) + 1


def _plain(part: Part, job_id: str) -> range:
    """Return the values of a part that is not a day extension."""
    field = part.field
    if match := _HASH.fullmatch(part.text):
        return _hashed(part, match, job_id)
    match = _RANGE.fullmatch(part.text)
    if match is None:
        part.reject(_diagnosis(part))
    first, last, step = match.groups()
    if first == "*":
        if last:
            part.reject("'*' already covers every value and cannot start a range")
        low, high = field.low, _top(field)
    else:
        low = _value(part, first)
        high = low if last is None else _value(part, last, ends_range=True)
        if last is None and step:
            high = _top(field)
    if low > high:
        part.reject(f"the range runs backwards; write '{_wrapped(part, low, high)}' instead")
    return range(low, high + 1, _step(part, step))


def _hashed(part: Part, match: re.Match[str], job_id: str) -> range:
    """Return the values of ``H``: a hash of the job's id spreads jobs over the range."""
    field = part.field
    low, high = field.low, field.hash_high or field.high
    if match[1]:
        low, high = _value(part, match[1]), _value(part, match[2])
        if low > high:
            part.reject(f"the range runs backwards; write 'H({high}-{low})' instead")
    digest = hashlib.sha256(f"{field.name}\0{job_id}".encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    if not match[3]:
        value = low + number % (high - low + 1)
        return range(value, value + 1)
    step = _step(part, match[3])
    return range(low + number % min(step, high - low + 1), high + 1, step)


def _value(part: Part, text: str, *, ends_range: bool = False) -> int:
    field = part.field
    if text[0].isdigit():
        return _number(part, text, field.low, field.high, field.noun)
    name = text.lower()
    if name == "h":
        part.reject("write 'H' in upper case")
    if name not in field.names:
        hint = did_you_mean(name[:20], field.names)
        hint = hint or f"; use a number from {field.low} to {field.high}"
        part.reject(f"{text[:20]!r} is not a valid {field.noun}{hint}")
    value = field.names.index(name) + field.low
    return 7 if ends_range and name == "sun" else value


def _number(part: Part, digits: str, low: int, high: int, noun: str) -> int:
    if len(digits) > 4 or not low <= int(digits) <= high:
        hint = "; midnight is hour 0" if noun == "hour" and digits == "24" else ""
        limits = f"it must be between {low} and {high}"
        part.reject(f"{digits[:20]!r} is not a valid {noun}: {limits}{hint}")
    return int(digits)


def _step(part: Part, digits: str | None) -> int:
    if digits is None:
        return 1
    if not digits.strip("0"):
        part.reject("a step of 0 never advances; leave out the step, or use 1 or more")
    span = _top(part.field) - part.field.low + 1
    if len(digits) > 4 or int(digits) > span:
        part.reject(
            f"the step {digits[:20]} is too large: a {part.field.name} field has {span} values"
        )
    return int(digits)


def _top(field: Field) -> int:
    """Return the last value of ``*`` and of ``a/n``; Sunday counts once, as 0."""
    return 6 if field is DAY_OF_WEEK else field.high


def _is_weekday(text: str) -> bool:
    return text.isdigit() or text.lower() in WEEKDAYS


def _wrapped(part: Part, low: int, high: int) -> str:
    """Return how to write a range that was meant to wrap around the end of the field."""
    field = part.field
    texts = field.names if part.text[0].isalpha() else tuple(map(str, range(60)))[field.low :]

    def between(first: int, last: int) -> str:
        ends = texts[first - field.low], texts[last - field.low]
        return ends[0] if first == last else "-".join(ends)

    return f"{between(low, _top(field))},{between(field.low, high)}"


def _diagnosis(part: Part) -> str:
    """Return the most likely reason why a part matches no known form."""
    text, field = part.text, part.field
    if "?" in text:
        return "'?' is Quartz syntax; use '*' instead"
    if text.upper() == "H" or text.startswith("h("):
        return "write 'H' in upper case"
    if "/" in text and not text.rpartition("/")[2].isdigit():
        return "'/' must be followed by a whole number, as in '*/5'"
    if any(mark in text for mark in "LW#") and field not in (DAY_OF_MONTH, DAY_OF_WEEK):
        return "'L', 'W' and '#' are only allowed in the day fields"
    if "#" in text and field is DAY_OF_MONTH:
        return "'#' is only allowed in the day-of-week field, as in 'tue#3'"
    if "W" in text and field is DAY_OF_WEEK:
        return "'W' is only allowed in the day-of-month field, as in '15W'"
    if "--" in text or text.startswith("-"):
        return "a range takes a single '-', as in '1-5'"
    return "expected '*', a value or a range such as '1-5', optionally with a step such as '/5'"
