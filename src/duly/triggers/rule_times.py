"""The times of day at which an RRULE fires on a matching day."""

from __future__ import annotations

from datetime import datetime

from duly.errors import TriggerError
from duly.triggers.day_times import DayTimes, ListedTimes
from duly.triggers.rule_text import SECONDS, Rule


def rule_times(rule: Rule, start: datetime) -> DayTimes | ListedTimes:
    """The times of day, for a rule that does not drift through the day.

    Args:
        rule: the rule.
        start: its first wall time, which gives the hour, minute and second it does not name.

    Raises:
        TriggerError: there are none, so the rule could never fire.
    """
    hours, minutes, seconds = _named(rule, start)
    step = rule.interval * SECONDS.get(rule.freq, 86_400)
    first = start.hour * 3600 + start.minute * 60 + start.second
    times: DayTimes | ListedTimes
    if rule.freq == "SECONDLY" and 60 % step and step % 60:
        listed = range(first % step, 86_400, step)
        times = ListedTimes(
            tuple(
                second
                for second in listed
                if second // 3600 in hours
                and second // 60 % 60 in minutes
                and second % 60 in seconds
            )
        )
    else:
        if rule.freq == "SECONDLY" and step < 60:
            seconds = {second for second in seconds if (second - first) % step == 0}
        elif rule.freq == "SECONDLY":
            seconds &= {start.second}
        unit = max(step, 60) // 60
        anchor = first // 60 if rule.freq in ("MINUTELY", "SECONDLY") else start.hour * 60
        aligned = [
            hour * 60 + minute
            for hour in sorted(hours)
            for minute in sorted(minutes)
            if _aligned(rule.freq, hour * 60 + minute - anchor, unit)
        ]
        times = DayTimes(tuple(aligned), tuple(sorted(seconds)))
    if not len(times):
        raise TriggerError(f"RRULE {rule.text} has no time of day at which it could fire")
    return times


def _named(rule: Rule, start: datetime) -> tuple[set[int], set[int], set[int]]:
    """Hours, minutes and seconds that are named; those finer than the frequency come from start."""
    hourly, minutely, secondly = (
        {"HOURLY": 1, "MINUTELY": 2, "SECONDLY": 3}.get(rule.freq, 0) >= n for n in (1, 2, 3)
    )
    return (
        set(rule.by.get("BYHOUR", range(24) if hourly else (start.hour,))),
        set(rule.by.get("BYMINUTE", range(60) if minutely else (start.minute,))),
        set(rule.by.get("BYSECOND", range(60) if secondly else (start.second,))),
    )


def _aligned(freq: str, minutes: int, unit: int) -> bool:
    """Whether a minute so far from the start's is stepped to; ``unit`` is the step in minutes."""
    if freq == "HOURLY":
        return minutes // 60 % (unit // 60) == 0
    return freq not in SECONDS or minutes % unit == 0
