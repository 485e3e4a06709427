"""The wall times at which an RRULE fires.

dateutil is not used because its search is unbounded: it took 33 s to find the next minute of
``FREQ=MINUTELY`` 26 years after its start, and 3 s to find that 30 February does not exist. Tests
compare the two.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import date, datetime
from functools import lru_cache

from duly.errors import TriggerError
from duly.triggers.recurrence.days import RuleDays
from duly.triggers.recurrence.text import SECONDS, Rule, drifts, read_rule
from duly.triggers.wallclock.day_times import DayTimes, ListedTimes
from duly.triggers.wallclock.search import WallSearch
from duly.triggers.wallclock.seconds import DAY, UNIX_DAY

_BUDGET = 25_000
"""The number of days examined without a match before a rule counts as ended (68 years or more)."""


_LONGEST_COUNT = 366_000 * DAY
"""The number of seconds in which all occurrences of a rule with COUNT must be."""


class RuleTimes:
    """A rule whose times of day are the same on every matching day."""

    def __init__(self, rule: Rule, start: datetime) -> None:
        self._days = RuleDays(rule, start.date())
        self._times = _rule_times(rule, start)
        self._positions = rule.by.get("BYSETPOS")

    def at_or_after(self, wall: int) -> int | None:
        """See `duly.triggers.wallclock.search.WallSearch`."""
        day, second = divmod(wall, DAY)
        if self._positions:
            return self._at_position(wall, day + UNIX_DAY)
        for found in self._days.matching(day + UNIX_DAY, _BUDGET):
            if found - UNIX_DAY > day:
                return (found - UNIX_DAY) * DAY + self._times.first
            if second <= self._times.last:
                return day * DAY + self._times.at_or_after(second)
        return None

    def _at_position(self, wall: int, day: int) -> int | None:
        """Return the first occurrence not before ``wall`` among those that BYSETPOS selects."""
        for days in self._days.periods(day, _BUDGET):
            total = len(days) * len(self._times)
            chosen = {n - 1 if n > 0 else total + n for n in self._positions or ()}
            for index in sorted(chosen):
                if 0 <= index < total:
                    which, time = divmod(index, len(self._times))
                    found = (days[which] - UNIX_DAY) * DAY + self._times.nth(time)
                    if found >= wall:
                        return found
        return None


class DriftingTimes:
    """A rule by hours, minutes or seconds whose times of day differ from day to day."""

    def __init__(self, rule: Rule, start: datetime) -> None:
        unit = SECONDS[rule.freq]
        first = _wall(start)
        self._period = unit * rule.interval
        self._base = first - first % unit
        minutes = rule.by.get("BYMINUTE", (start.minute,)) if unit > 60 else (0,)
        seconds = rule.by.get("BYSECOND", (start.second,)) if unit > 1 else (0,)
        self._offsets = sorted(minute * 60 + second for minute in minutes for second in seconds)

    def at_or_after(self, wall: int) -> int | None:
        """See `duly.triggers.wallclock.search.WallSearch`."""
        steps, rest = divmod(wall - self._base, self._period)
        index = bisect_left(self._offsets, rest)
        if index == len(self._offsets):
            steps, index = steps + 1, 0
        return self._base + steps * self._period + self._offsets[index]


class BoundedRule:
    """A rule from its start to its end. It caches the occurrence that it found last.

    Raises:
        TriggerError: the rule has no occurrence.
    """

    def __init__(self, rule: Rule, start: datetime) -> None:
        self._inner: WallSearch = (DriftingTimes if drifts(rule) else RuleTimes)(rule, start)
        self._first = _wall(start)
        until = rule.until
        self._until = None if until is None or until.tzinfo else _wall(until)
        self._listed = self._list(rule.count) if rule.count else None
        # (a wall time, the occurrence after it). Replaced as a whole, so threads may share it.
        self._recent = (1, 0)
        if self.at_or_after(self._first) is None:
            raise TriggerError(
                f"RRULE {rule.text} never fires on or after {start:%Y-%m-%d %H:%M:%S}"
            )

    def at_or_after(self, wall: int) -> int | None:
        """See `duly.triggers.wallclock.search.WallSearch`."""
        if self._listed is not None:
            index = bisect_left(self._listed, wall)
            return self._listed[index] if index < len(self._listed) else None
        wall = max(wall, self._first)
        since, found = self._recent
        if not since <= wall <= found:
            following = self._inner.at_or_after(wall)
            if following is None or (self._until is not None and following > self._until):
                return None
            self._recent = _, found = wall, following
        return found

    def _list(self, count: int) -> list[int]:
        """Return the first ``count`` occurrences."""
        listed: list[int] = []
        wall = self._inner.at_or_after(self._first)
        while wall is not None and len(listed) < count:
            if wall - self._first > _LONGEST_COUNT:
                raise TriggerError(
                    f"the first {count} occurrences of an RRULE must be within 1,000 years; give a "
                    "smaller COUNT, or UNTIL instead"
                )
            listed.append(wall)
            wall = self._inner.at_or_after(wall + 1)
        return listed


@lru_cache(maxsize=1024)
def rule_pattern(text: str, start: datetime) -> BoundedRule:
    """Return the wall times of an RRULE. Cached: equal arguments share one object."""
    return BoundedRule(read_rule(text), start)


def _wall(moment: datetime) -> int:
    """Return a naive wall time in wall seconds."""
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return (moment.date() - date(1970, 1, 1)).days * DAY + seconds


def _rule_times(rule: Rule, start: datetime) -> DayTimes | ListedTimes:
    """Return the times of day of a rule that has the same ones on every matching day.

    Args:
        rule: the rule.
        start: its first wall time, which supplies the hour, minute and second that it omits.

    Raises:
        TriggerError: there are none, so the rule would never fire.
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
        raise TriggerError(f"RRULE {rule.text} matches no time of day, so it would never fire")
    return times


def _named(rule: Rule, start: datetime) -> tuple[set[int], set[int], set[int]]:
    """Return the hours, minutes and seconds of a rule; omitted ones depend on its frequency."""
    hourly, minutely, secondly = (
        {"HOURLY": 1, "MINUTELY": 2, "SECONDLY": 3}.get(rule.freq, 0) >= n for n in (1, 2, 3)
    )
    return (
        set(rule.by.get("BYHOUR", range(24) if hourly else (start.hour,))),
        set(rule.by.get("BYMINUTE", range(60) if minutely else (start.minute,))),
        set(rule.by.get("BYSECOND", range(60) if secondly else (start.second,))),
    )


def _aligned(freq: str, minutes: int, unit: int) -> bool:
    """Return whether the interval reaches a minute of the day.

    Args:
        freq: the frequency of the rule.
        minutes: the distance from the start in minutes.
        unit: the interval in minutes.
    """
    if freq == "HOURLY":
        return minutes // 60 % (unit // 60) == 0
    return freq not in SECONDS or minutes % unit == 0
