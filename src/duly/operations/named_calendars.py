"""Named calendars: holidays and the like, stored once and used by many jobs."""

from __future__ import annotations

from duly.errors import ConfigurationError
from duly.operations import calendars as calendar_commands
from duly.operations.core import Wiring
from duly.operations.patience import patient
from duly.store import calendars
from duly.triggers import Calendar


class Calendars(Wiring):
    """How calendars are kept."""

    def calendars(self) -> dict[str, Calendar]:
        """All stored calendars by name."""
        with self.store.read() as conn:
            return calendars.known(conn)

    @patient
    def set_calendar(self, name: str, calendar: Calendar, *, actor: str | None = None) -> list[str]:
        """Store a calendar under a name; triggers use it by ``trigger.excluding("the name")``.

        The jobs that name it follow at once: what fell due under the old calendar is decided
        first, then the next fire is computed anew.

        Args:
            name: 1 to 191 printable characters.
            calendar: for example ``holidays("ES")``, ``weekends()`` or ``dates(...)``.
            actor: who does it, for the audit trail.

        Returns:
            The ids of the jobs that name it.

        Raises:
            ConfigurationError: a name that cannot be stored, or no calendar.
        """
        if not isinstance(calendar, Calendar):
            raise ConfigurationError(
                f"{calendar!r} is no calendar; give for example holidays('ES') or weekends()"
            )
        with self._write(actor) as tx:
            return calendar_commands.put(tx, name, calendar)

    @patient
    def remove_calendar(self, name: str, *, actor: str | None = None) -> None:
        """Delete a calendar.

        Raises:
            CalendarNotFound: no such calendar.
            CalendarInUse: jobs name it.
        """
        with self._write(actor) as tx:
            calendar_commands.remove(tx, name)
