"""A wall clock that faults can step, for SQLite workers, which share their machine's clock.

libfaketime would do the same, but it slows down every thread. On a database server two workers use
it, and the others use the machine's own clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from duly import SystemClock


class SteppedClock(SystemClock):
    """The machine's clock plus an offset read from a file; its monotonic clock is not affected.

    Args:
        file: contains the offset in seconds.
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
