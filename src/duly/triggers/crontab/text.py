"""Read a cron expression: five fields, six with seconds first, or a keyword such as ``@daily``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, NoReturn

from duly.errors import CronError, did_you_mean
from duly.triggers.crontab.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    FieldProblem,
    Part,
    read_days_of_month,
    read_days_of_week,
    read_numbers,
)
from duly.triggers.wallclock.day_rules import DayMasks, DayRule, MonthDays, Weekdays, day_masks

KEYWORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LONGEST = 1000
"""The maximum length in characters; all values of all fields need 560."""

FIELDS = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e\t]")
_WORD = re.compile(r"[^ \t]+")


class CronFields(NamedTuple):  # a frozen dataclass takes four times as long to create
    """The fields of a cron expression.

    Attributes:
        expression: the canonical text: keywords expanded, one space between fields.
        texts: the six fields as text, with ``"0"`` for the seconds of a five-field expression.
        numbers: the sorted values of the seconds, minutes, hours and months.
        days_of_month: the rules of the day-of-month field.
        days_of_week: the rules of the day-of-week field.
    """

    expression: str
    texts: tuple[str, ...]
    numbers: tuple[tuple[int, ...], ...]
    days_of_month: tuple[DayRule, ...]
    days_of_week: tuple[DayRule, ...]

    @property
    def seconds(self) -> tuple[int, ...]:
        """Sorted seconds of the minute."""
        return self.numbers[0]

    @property
    def minutes(self) -> tuple[int, ...]:
        """Sorted minutes of the hour."""
        return self.numbers[1]

    @property
    def hours(self) -> tuple[int, ...]:
        """Sorted hours of the day."""
        return self.numbers[2]

    @property
    def months(self) -> tuple[int, ...]:
        """Sorted months of the year."""
        return self.numbers[3]

    @property
    def either_day(self) -> bool:
        """Whether one matching day field is enough; otherwise both must match (Vixie's rule)."""
        return self.texts[3][0] != "*" and self.texts[5][0] != "*"

    @property
    def interval_like(self) -> bool:
        """Whether the expression matches real instants instead of the wall clock (rule R2)."""
        return "*" in (self.texts[0][0], self.texts[1][0], self.texts[2][0])

    @property
    def masks(self) -> DayMasks:
        """The matching days of every shape of month."""
        return day_masks(self.days_of_month, self.days_of_week, either=self.either_day)


@lru_cache(maxsize=4096)
def read_cron(text: str, job_id: str = "") -> CronFields:
    """Read a cron expression. Results are cached.

    Args:
        text: the expression.
        job_id: the id that ``H`` is hashed from; default: the empty id.

    Raises:
        CronError: the expression is invalid, or would never fire.
    """
    text, words = _split(text)
    texts = tuple(words) if len(words) == 6 else ("0", *words)
    try:
        fields = CronFields(
            " ".join(words),
            texts,
            (
                read_numbers(texts[0], SECOND, job_id),
                read_numbers(texts[1], MINUTE, job_id),
                read_numbers(texts[2], HOUR, job_id),
                read_numbers(texts[4], MONTH, job_id),
            ),
            read_days_of_month(texts[3], job_id),
            read_days_of_week(texts[5], job_id),
        )
    except FieldProblem as error:
        raise _located(text, error) from None
    if not _surely_possible(fields) and not fields.masks.possible(fields.months):
        problem = f"no such day exists in month {texts[4]!r}, so the trigger would never fire"
        raise _located(text, FieldProblem(problem, Part(texts[3], 0, DAY_OF_MONTH)))
    return fields


def _split(text: str) -> tuple[str, list[str]]:
    """Return the expression, with a keyword expanded, and its fields."""
    if len(text) > LONGEST:
        _reject(
            f"the expression is longer than {LONGEST} characters", text, LONGEST, text[LONGEST:]
        )
    if match := _NOT_PRINTABLE.search(text):
        _reject("only printable ASCII characters are allowed", text, match.start(), match[0])
    words = text.split()
    if not words:
        _reject("the expression is empty; for every minute, write '* * * * *'", text, 0, text)
    if words[0][0] == "@":
        text = _expanded(text, words)
        words = text.split()
    elif len(words) not in (5, 6):
        _reject(_count_problem(len(words)), text, text.rindex(words[-1]), words[-1])
    return text, words


def _surely_possible(fields: CronFields) -> bool:
    """Return whether a matching day certainly exists, without looking at the months.

    Every month has every weekday and every day up to the 28th, which in time falls on each weekday.
    """
    by_month, by_week = fields.days_of_month[0], fields.days_of_week[0]
    early = isinstance(by_month, MonthDays) and by_month.numbers[0] <= 28
    return fields.either_day or (early and isinstance(by_week, Weekdays))


def _located(text: str, error: FieldProblem) -> CronError:
    """Return the error with its position in the whole expression."""
    part = error.part
    starts = [match.start() for match in _WORD.finditer(text)]
    return CronError(
        error.problem,
        expression=text,
        field=part.field.name,
        text=part.text,
        position=starts[FIELDS.index(part.field) - 6] + part.offset,
    )


def _expanded(text: str, words: list[str]) -> str:
    """Return the fields that a keyword such as ``@daily`` stands for."""
    word, position = words[0], text.index("@")
    if len(words) > 1 and word != "@every":
        after = text.index(words[1], position + len(word))
        _reject(f"nothing may follow {word[:20]!r}", text, after, words[1])
    if word.lower() in KEYWORDS:
        return KEYWORDS[word.lower()]
    if word == "@every":
        _reject("use every(minutes=…) for fixed intervals", text, position, word)
    if word == "@reboot":
        _reject(
            "'@reboot' is not supported; call the function when the application starts",
            text,
            position,
            word,
        )
    hint = did_you_mean(word[:20].lower(), KEYWORDS)
    return _reject(f"{word[:20]!r} is not a known keyword{hint}", text, position, word)


def _count_problem(count: int) -> str:
    if count == 7:
        return "found 7 fields, but a year field is not supported; set the job's start and end"
    return f"found {count} field{'s' * (count != 1)}; expected 5, or 6 with seconds first"


def _reject(problem: str, text: str, position: int, part: str) -> NoReturn:
    raise CronError(problem, expression=text, text=part, position=position)
