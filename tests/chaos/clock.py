"""A wall clock that faults set, for workers on one file: they share their machine's clock.

libfaketime would do the same, but it slows every thread of every process; on a database server two
workers have it, and the others their machine's own clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from duly import SystemClock


class SteppedClock(SystemClock):
    """The machine's clock and as many seconds more as a file says; its steady clock is true.

    Args:
        file: holds a number.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = ""
        self._shift = timedelta()

    def now(self) -> datetime:
        """See `Clock.now`."""
        text = self._file.read_text()
        if text and text != self._seen:
            self._seen, self._shift = text, timedelta(seconds=float(text))
        return datetime.now(UTC) + self._shift
