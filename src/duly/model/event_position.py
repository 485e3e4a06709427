"""A position in the audit trail, from which a follower continues without loss or repetition.

The ids of events are assigned before their transactions commit, so an event may appear after others
with greater ids. A position is therefore the greatest id that was seen, and the ids below it that
were not seen. Most of these belong to transactions that were rolled back; they are forgotten when
they are old.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from duly.errors import ConfigurationError
from duly.model.checks import LATEST

MAX_MISSING = 100
"""The maximum number of missing ids of a position; the smallest are forgotten first."""

FORGET_AFTER = timedelta(minutes=10)
"""How long a follower looks for a missing id: longer than any transaction should take."""

_TEXT = re.compile(r"(\d{1,18})(?:~(\d{1,18}(?:\.\d{1,18}){0,99}))?", re.ASCII)


class EventPosition:
    """See the module.

    Args:
        last: the greatest id that was seen.
        missing: the ids below it that were not seen.
        now: the present.

    Attributes:
        last: the greatest id that was seen.
    """

    def __init__(self, last: int, missing: Iterable[int], now: datetime) -> None:
        self.last = last
        self._missing = dict.fromkeys(sorted(missing), now)

    @classmethod
    def read(cls, text: str, now: datetime) -> Self:
        """Return the position that `str` has written.

        Raises:
            ConfigurationError: the text is not a position.
        """
        found = _TEXT.fullmatch(text)
        listed = [] if found is None or found[2] is None else found[2].split(".")
        missing = list(map(int, listed))
        if found is None or any(number >= int(found[1]) for number in missing):
            raise ConfigurationError(
                f"{text[:100]!r} is not a position in the events; give the id of a message of the "
                "stream, or the id of an event"
            )
        return cls(int(found[1]), missing, now)

    def __str__(self) -> str:
        missing = ".".join(map(str, self._missing))
        return f"{self.last}~{missing}" if missing else str(self.last)

    @property
    def missing(self) -> list[int]:
        """The ids that are looked for, in order."""
        return list(self._missing)

    def copy(self) -> EventPosition:
        """Return an independent copy."""
        copy = EventPosition(self.last, (), LATEST)
        copy._missing = dict(self._missing)
        return copy

    def look_for(self, missing: Iterable[int], now: datetime) -> None:
        """Look for further ids, which another follower misses."""
        ids = {number: now for number in missing if number <= self.last}
        self._missing = dict(sorted((ids | self._missing).items()))

    def accept(self, number: int, now: datetime) -> bool:
        """Move to an event; return whether it had not been seen before."""
        if number <= self.last:
            return self._missing.pop(number, None) is not None
        skipped = range(max(self.last + 1, number - MAX_MISSING), number)
        self._missing.update(dict.fromkeys(skipped, now))
        self.last = number
        self._forget(now)
        return True

    def _forget(self, now: datetime) -> None:
        recent = [(key, at) for key, at in self._missing.items() if now - at < FORGET_AFTER]
        self._missing = dict(recent[-MAX_MISSING:])
