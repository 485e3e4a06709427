"""Reads a whole cron text: five fields, or six with seconds in front, or an ``@`` word."""

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

WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LONGEST = 1000
"""More characters than any sensible cron; every value of every field listed needs 560."""

FIELDS = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
_ODD = re.compile(r"[^\x20-\x7e\t]")
_WORD = re.compile(r"[^ \t]+")


class CronFields(NamedTuple):  # a frozen dataclass takes four times as long to make
    """What the fields of a cron text hold.

    Attributes:
        expression: the canonical text: ``@`` words written out, one space between fields.
        texts: the six field texts, with ``"0"`` for the seconds of a five-field text.
        numbers: sorted values of seconds, minutes, hours and months.
        days_of_month: rules for days.
        days_of_week: the same, by weekday.
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
        """Whether it matches real instants instead of the wall clock (rule R2)."""
        return "*" in (self.texts[0][0], self.texts[1][0], self.texts[2][0])

    @property
    def masks(self) -> DayMasks:
        """The matching days of each shape of month."""
        return day_masks(self.days_of_month, self.days_of_week, either=self.either_day)


@lru_cache(maxsize=4096)
def read_cron(text: str, job_id: str = "") -> CronFields:
    """Read a cron text.

    Args:
        text: the cron.
        job_id: what ``H`` is hashed from.

    Raises:
        CronError: it cannot be read, or can never fire.
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
        raise _at_fault(text, error) from None
    if not _surely_possible(fields) and not fields.masks.possible(fields.months):
        problem = f"no such day ever comes in month {texts[4]!r}, so it could never fire"
        raise _at_fault(text, FieldProblem(problem, Part(texts[3], 0, DAY_OF_MONTH)))
    return fields


def _split(text: str) -> tuple[str, list[str]]:
    """The text, ``@`` words written out, and its fields."""
    if len(text) > LONGEST:
        _refuse(f"longer than {LONGEST} characters", text, LONGEST, text[LONGEST:])
    if odd := _ODD.search(text):
        _refuse("only plain ASCII characters are understood", text, odd.start(), odd[0])
    words = text.split()
    if not words:
        _refuse("it is empty; every minute would be '* * * * *'", text, 0, text)
    if words[0][0] == "@":
        text = _word(text, words)
        words = text.split()
    elif len(words) not in (5, 6):
        _refuse(_count_problem(len(words)), text, text.rindex(words[-1]), words[-1])
    return text, words


def _surely_possible(fields: CronFields) -> bool:
    """Whether it can be seen without looking at months that a matching day comes.

    A weekday always comes. So does a plain day up to the 28th, on every weekday in time.
    """
    by_month, by_week = fields.days_of_month[0], fields.days_of_week[0]
    early = isinstance(by_month, MonthDays) and by_month.numbers[0] <= 28
    return fields.either_day or (early and isinstance(by_week, Weekdays))


def _at_fault(text: str, error: FieldProblem) -> CronError:
    """The error with its place in the whole text."""
    part = error.part
    starts = [found.start() for found in _WORD.finditer(text)]
    return CronError(
        error.problem,
        expression=text,
        field=part.field.name,
        text=part.text,
        position=starts[FIELDS.index(part.field) - 6] + part.offset,
    )


def _word(text: str, words: list[str]) -> str:
    word, position = words[0], text.index("@")
    if len(words) > 1 and word != "@every":
        after = text.index(words[1], position + len(word))
        _refuse(f"nothing may follow {word[:20]!r}", text, after, words[1])
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    if word == "@every":
        _refuse("use every(minutes=…) for fixed intervals", text, position, word)
    if word == "@reboot":
        _refuse("'@reboot' has no meaning here; call the function at start", text, position, word)
    hint = did_you_mean(word[:20].lower(), WORDS)
    return _refuse(f"unknown word {word[:20]!r}{hint}", text, position, word)


def _count_problem(count: int) -> str:
    if count == 7:
        return "seven fields; a year field is not understood, use the start and end of the job"
    return f"{count} field{'s' * (count != 1)}; five are needed, or six with seconds in front"


def _refuse(problem: str, text: str, position: int, part: str) -> NoReturn:
    raise CronError(problem, expression=text, text=part, position=position)
