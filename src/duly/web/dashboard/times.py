"""The times of a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from duly.web.dashboard import formatting


@dataclass(frozen=True, slots=True)
class Times:
    """Formats the times of a page.

    Attributes:
        now: the scheduler's current time, which relative times refer to.
        zone: the time zone of absolute times.
    """

    now: datetime
    zone: ZoneInfo

    def when(self, moment: datetime | None) -> Markup:
        """Return the element of a time: short, and in full for who points at it."""
        if moment is None:
            return Markup()
        return self._element("<time", moment, ">", self.short(moment))

    def away(self, moment: datetime | None) -> Markup:
        """Return the element of the distance to a time, which a script keeps true."""
        if moment is None:
            return Markup()
        text = formatting.relative(moment, self.now)
        return self._element('<time class="away"', moment, " data-away>", text)

    def _element(self, start: str, moment: datetime, end: str, text: str) -> Markup:
        attributes = f'datetime="{moment.isoformat()}" title="{self.full(moment)}"'
        return Markup(f"{start} {attributes}{end}{text}</time>")  # noqa: S704 - times and zones only

    def short(self, moment: datetime) -> str:
        """See `formatting.short_time`."""
        return formatting.short_time(moment, self.now, self.zone)

    def mark(self, moment: datetime, with_day: bool) -> str:
        """Return the label of a time axis: hours and minutes, perhaps with the day of the week."""
        return f"{moment.astimezone(self.zone):{'%a %H:%M' if with_day else '%H:%M'}}"

    def full(self, moment: datetime) -> str:
        """See `formatting.full_time`."""
        return formatting.full_time(moment, self.zone)

    def wall(self, moment: datetime) -> str:
        """Return the wall time to the second, as a field for dates and times takes it."""
        return f"{moment.astimezone(self.zone):%Y-%m-%dT%H:%M:%S}"

    def wall_after(self, moment: datetime) -> str:
        """Return the wall time a second later."""
        return self.wall(moment + timedelta(seconds=1))
