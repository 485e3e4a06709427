"""A slow oracle for cron that tries every minute and shares no code with Duly.

Wall times are resolved with zoneinfo's ``fold``, by rule R2, rule R3 and rule R4.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
NAMES = {
    name: number
    for names, first in (
        (("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1),
        (("sun", "mon", "tue", "wed", "thu", "fri", "sat"), 0),
    )
    for number, name in enumerate(names, first)
}


def expand(text: str, low: int, high: int) -> set[int]:
    """Return the values of a plain field: lists, ranges, steps, names."""
    values: set[int] = set()
    for part in text.split(","):
        body, _, step = part.partition("/")
        first, _, last = body.partition("-")
        if first == "*":
            start, end = low, high
        else:
            start = NAMES.get(first, -1) if first.isalpha() else int(first)
            end = start if not last else NAMES[last] if last.isalpha() else int(last)
        values.update(range(start, end + 1, int(step or 1)))
    return values


class BruteForce:
    """A five-field cron whose fires are found by trying every minute."""

    def __init__(self, text: str, zone: str, gap: str = "shift", fold: str = "first") -> None:
        self.texts = text.split()
        minute, hour, day, month, weekday = self.texts
        self.minutes = expand(minute, 0, 59)
        self.hours = expand(hour, 0, 23)
        self.days = expand(day, 1, 31)
        self.months = expand(month, 1, 12)
        self.weekdays = {number % 7 for number in expand(weekday, 0, 6)}
        self.zone = ZoneInfo(zone)
        self.gap, self.fold = gap, fold
        self.interval_like = minute[0] == "*" or hour[0] == "*"

    def matches(self, wall: datetime) -> bool:
        by_month = wall.day in self.days
        by_week = wall.isoweekday() % 7 in self.weekdays
        if self.texts[2][0] == "*" or self.texts[4][0] == "*":
            day = by_month and by_week
        else:
            day = by_month or by_week
        return (
            wall.minute in self.minutes
            and wall.hour in self.hours
            and wall.month in self.months
            and wall.second == 0
            and day
        )

    def fires(self, after: datetime, until: datetime) -> list[datetime]:
        """Return every fire in (after, until]; both must be whole minutes."""
        found: set[datetime] = set()
        if self.interval_like:
            offsets = [moment.astimezone(self.zone).utcoffset() for moment in (after, until)]
            old = any(offset and offset % MINUTE for offset in offsets)  # local mean time
            step = timedelta(seconds=1) if old else MINUTE
            moment = after + step
            while moment <= until:
                if self.matches(moment.astimezone(self.zone).replace(tzinfo=None)):
                    found.add(moment)
                moment += step
            return sorted(found)
        wall = after.replace(tzinfo=None) - timedelta(days=2)
        end = until.replace(tzinfo=None) + timedelta(days=2)
        while wall <= end:
            if self.matches(wall):
                found.update(self.instants(wall))
            wall += MINUTE
        return sorted(moment for moment in found if after < moment <= until)

    def instants(self, wall: datetime) -> set[datetime]:
        first, last = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first.astimezone(self.zone).replace(tzinfo=None) == wall:
            return {"first": {first}, "last": {last}, "both": {first, last}}[self.fold]
        # In a gap zoneinfo reads fold=0 with the offset before the change, which is the shift.
        return {"shift": {first}, "skip": set(), "first": {self._change(last, first)}}[self.gap]

    def _change(self, low: datetime, high: datetime) -> datetime:
        """Return the first second after the clock change between two instants."""
        offset = low.astimezone(self.zone).utcoffset()
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
            same = middle.astimezone(self.zone).utcoffset() == offset
            low, high = (middle, high) if same else (low, middle)
        return high
