"""Triggers as English text and as Python source."""

from __future__ import annotations

import pytest

from duly.triggers import at, cron, every
from tests.unit.triggers.helpers import utc


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("0 9 * * 1-5", "at 09:00 on Monday to Friday"),
        ("*/5 * * * *", "every 5 minutes"),
        ("* * * * *", "every minute"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("0 * * * *", "at the start of every hour"),
        ("30 * * * *", "at minute 30 of every hour"),
        ("5,35 * * * *", "at minutes 5 and 35 of every hour"),
        ("*/15 9-17 * * mon-fri", "every 15 minutes from 09:00 to 17:59 on Monday to Friday"),
        ("*/15 */2 * * *", "every 15 minutes of every 2nd hour"),
        ("0 8 1,15 * *", "at 08:00 on the 1st and 15th of the month"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("0 0 L-3 * *", "at 00:00 on 3 days before the last day of the month"),
        ("0 0 LW * *", "at 00:00 on the last working day of the month"),
        ("0 0 15W * *", "at 00:00 on the working day nearest to the 15th of the month"),
        ("0 0 * * friL", "at 00:00 on the last Friday of the month"),
        ("0 0 * * tue#3", "at 00:00 on the third Tuesday of the month"),
        ("30 2 29 2 *", "at 02:30 on the 29th of the month in February"),
        ("0 12 13 * 5", "at 12:00 on the 13th of the month and also on Friday"),
        ("0 12 */2 * 5", "at 12:00 on the 1st, 3rd, 5th, 7th, 9th, 11th, 13th, 15th, 17th, 19th, "
         "21st, 23rd, 25th, 27th, 29th and 31st of the month but only on Friday"),
        ("0 0 * 6-8 *", "at 00:00 in June to August"),
        ("0 9,18 * * 0,6", "at 09:00 and 18:00 on Sunday and Saturday"),
        ("15 30 9 * * *", "at 09:30:15"),
    ],
)  # fmt: skip
def test_cron_expressions_in_english(text, english):
    """The description says when a cron fires without assuming knowledge of crontab."""
    assert cron(text).describe() == english


def test_the_description_names_the_zone():
    """A description ends with the zone if one is set."""
    assert str(cron("0 9 * * 1-5", tz="Europe/Madrid")) == (
        "at 09:00 on Monday to Friday, Europe/Madrid time"
    )
    assert str(cron("0 9 * * *", tz="UTC")) == "at 09:00, UTC"


def test_intervals_and_instants_in_english():
    """Intervals and instants have English descriptions too."""
    assert every(seconds=10).describe() == "every 10 seconds"
    assert every(seconds=1).describe() == "every second"
    assert every(hours=1, minutes=30).describe() == "every 1 hour 30 minutes"
    assert every(weeks=2).describe() == "every 2 weeks"
    assert every(days=10).describe() == "every 10 days"
    assert every(seconds=0.25).describe() == "every 0.25 seconds"
    assert at(utc("2026-01-02T03:04:05")).describe() == "once, at 2026-01-02 03:04:05 UTC"


def test_repr_is_python():
    """The repr is the Python call that creates an equal trigger."""
    assert repr(cron(hour=9, tz="UTC")) == "cron('0 9 * * *', tz='UTC')"
    assert repr(every(days=2, seconds=1.5)) == "every(days=2, seconds=1.5)"
    assert repr(every(seconds=12345)) == "every(seconds=12345)"
    assert repr(at(utc("2026-01-02T03:04:05"))) == "at('2026-01-02T03:04:05+00:00')"
