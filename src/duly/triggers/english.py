"""English phrases from which the descriptions of triggers are built."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


def describe_span(span: timedelta) -> str:
    """Return a duration in words: "10 seconds", "1 hour 30 minutes"; "day" instead of "1 day"."""
    rest, micro = divmod(span // timedelta(microseconds=1), 1_000_000)
    parts = []
    for unit, size in (("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60)):
        if unit == "week" and rest % size:
            continue
        count, rest = divmod(rest, size)
        if count:
            parts.append(plural(count, unit))
    if rest or micro:
        seconds = f"{rest + micro / 1e6:.6f}".rstrip("0").rstrip(".")
        parts.append("1 second" if seconds == "1" else f"{seconds} seconds")
    text = " ".join(parts)
    return text[2:] if len(parts) == 1 and text.startswith("1 ") else text


def join(words: Sequence[str], conjunction: str = "and") -> str:
    """Return words as an English list: "a, b and c"."""
    return f" {conjunction} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def ordinal(number: int) -> str:
    """Return a number as an ordinal: "1st", "2nd", "11th"."""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 // 10 != 1 else 0, "th")
    return f"{number}{suffix}"


def ranges(numbers: Sequence[int], names: Sequence[str], first: int) -> str:
    """Return numbers by name, with three or more in a row as a range: "Monday to Friday".

    Args:
        numbers: the numbers, sorted.
        names: their names.
        first: the number that the first name stands for.
    """
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    words: list[str] = []
    for group in groups:
        named = [names[number - first] for number in group]
        words += [f"{named[0]} to {named[-1]}"] if len(named) > 2 else named
    return join(words)


def plural(count: int, unit: str) -> str:
    """Return a count with its unit: "1 day", "2 days"."""
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
