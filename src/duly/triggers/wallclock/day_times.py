"""Sets of times of day, in seconds since midnight."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DayTimes:
    """Every listed second of every listed minute.

    Attributes:
        minutes: the minutes of the day, sorted.
        seconds: the seconds of the minute, sorted; default 0.
    """

    minutes: tuple[int, ...]
    seconds: tuple[int, ...] = (0,)

    @property
    def first(self) -> int:
        """The first time of day."""
        return self.minutes[0] * 60 + self.seconds[0]

    @property
    def last(self) -> int:
        """The last time of day."""
        return self.minutes[-1] * 60 + self.seconds[-1]

    def at_or_after(self, second: int) -> int:
        """Return the first time not before ``second``, which must not be after the last."""
        minute, second = divmod(second, 60)
        minutes, seconds = self.minutes, self.seconds
        index = bisect_left(minutes, minute)
        if minutes[index] == minute:
            if second <= seconds[-1]:
                return minute * 60 + seconds[bisect_left(seconds, second)]
            index += 1
        return minutes[index] * 60 + seconds[0]

    def count_before(self, second: int) -> int:
        """Return the number of times before ``second``."""
        minute, second = divmod(second, 60)
        index = bisect_left(self.minutes, minute)
        count = index * len(self.seconds)
        if index < len(self.minutes) and self.minutes[index] == minute:
            count += bisect_left(self.seconds, second)
        return count

    def nth(self, index: int) -> int:
        """Return the time with an index, counted from 0."""
        minute, second = divmod(index, len(self.seconds))
        return self.minutes[minute] * 60 + self.seconds[second]

    def __len__(self) -> int:
        return len(self.minutes) * len(self.seconds)


@dataclass(frozen=True, slots=True)
class ListedTimes:
    """Individually listed times.

    Attributes:
        listed: the times, sorted.
    """

    listed: tuple[int, ...]

    @property
    def first(self) -> int:
        """The first time of day."""
        return self.listed[0]

    @property
    def last(self) -> int:
        """The last time of day."""
        return self.listed[-1]

    def at_or_after(self, second: int) -> int:
        """Return the first time not before ``second``, which must not be after the last."""
        return self.listed[bisect_left(self.listed, second)]

    def count_before(self, second: int) -> int:
        """Return the number of times before ``second``."""
        return bisect_left(self.listed, second)

    def nth(self, index: int) -> int:
        """Return the time with an index, counted from 0."""
        return self.listed[index]

    def __len__(self) -> int:
        return len(self.listed)
