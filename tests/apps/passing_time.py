"""The time of a test of a Flask application, which passes when the test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from duly import Scheduler


class Time:
    """Moves the clock of an application in this process, and does what becomes due.

    Attributes:
        clock: the virtual clock of the application.
        scheduler: its scheduler, which is stepped here.
    """

    clock: Any
    scheduler: Scheduler

    def run_due(self) -> None:
        """Do everything that is due now, and what follows from it now."""
        self.scheduler.tick()

    def set_clock(self, moment: datetime | str) -> None:
        """Let time pass while nothing runs, as if the application were down."""
        self.clock.set(instant(moment))

    def move_to(self, moment: datetime | str) -> None:
        """Let it become a moment, and do what is due then."""
        self.set_clock(moment)
        self.run_due()

    def forward(self, **length: float) -> None:
        """Let time pass, and do what is due then."""
        self.move_to(self.clock.now() + timedelta(**length))

    def pass_until(self, moment: datetime | str) -> None:
        """Let time pass, and do on the way whatever is due, at its time."""
        end = instant(moment)
        self.run_due()
        while (due := self._next_due()) is not None and due <= end:
            self.move_to(max(due, self.clock.now()))
        self.move_to(end)

    def pass_for(self, **length: float) -> None:
        """See `pass_until`."""
        self.pass_until(self.clock.now() + timedelta(**length))

    def _next_due(self) -> datetime | None:
        times = [job.next_fire_at for job in self.scheduler.jobs() if job.next_fire_at]
        times += [run.due_at for run in self.scheduler.runs(state="scheduled", limit=1000)]
        return min(times, default=None)


def instant(moment: datetime | str, timezone: str = "UTC") -> datetime:
    """An aware datetime; text without an offset is local time in the zone."""
    read = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (read if read.tzinfo else read.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
