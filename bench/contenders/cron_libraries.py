"""Libraries that know when a cron fires, each asked in its own way, with the same answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

START = datetime(2026, 1, 1, 0, 0, 31, tzinfo=UTC)
TICK = timedelta(microseconds=1)
Fires = list[datetime]


class Duly:
    """This library."""

    name = "duly"

    def read(self, text: str, zone: ZoneInfo) -> Any:
        return self.cron(text, tz=zone.key)

    def sequence(self, text: str, zone: ZoneInfo, start: datetime) -> Iterable[datetime]:
        trigger = self.cron(text, tz=zone.key)
        moment: datetime | None = start
        while moment is not None and (moment := trigger.next_after(moment)) is not None:
            yield moment

    def at(self, text: str, zone: ZoneInfo, moments: Fires) -> Fires:
        next_after = self.cron(text, tz=zone.key).next_after
        return [fire for moment in moments if (fire := next_after(moment)) is not None]

    def __init__(self) -> None:
        from duly.triggers import cron  # noqa: PLC0415 - only there

        self.cron = cron


class APScheduler:
    """APScheduler 3: its own names for weekdays and the last day."""

    name = "apscheduler"

    def __init__(self) -> None:
        module = import_module("apscheduler.triggers.cron")  # in the peers' environment only

        self.trigger = module.CronTrigger

    def read(self, text: str, zone: ZoneInfo) -> Any:
        fields = text.split()
        *second, minute, hour, day, month, weekday = fields
        for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat")):
            weekday = weekday.replace(str(number), name) if "/" not in weekday else weekday
        return self.trigger(
            second=second[0] if second else 0,
            minute=minute,
            hour=hour,
            day="last" if day == "L" else day,
            month=month,
            day_of_week=weekday,
            timezone=zone,
        )

    def sequence(self, text: str, zone: ZoneInfo, start: datetime) -> Iterable[datetime]:
        trigger, previous, now = self.read(text, zone), None, start.astimezone(zone)
        while now is not None:
            previous = now = trigger.get_next_fire_time(previous, now)
            yield now

    def at(self, text: str, zone: ZoneInfo, moments: Fires) -> Fires:
        trigger = self.read(text, zone)
        # It answers with the moment itself where that matches: the others look after it.
        return [trigger.get_next_fire_time(None, moment + TICK) for moment in moments]


class Croniter:
    """croniter, which can be set to another instant."""

    name = "croniter"

    def __init__(self) -> None:
        from croniter import croniter  # noqa: PLC0415 - only there

        self.croniter = croniter

    def read(self, text: str, zone: ZoneInfo, start: datetime = START) -> Any:
        six = len(text.split()) == 6
        return self.croniter(text, start.astimezone(zone), second_at_beginning=six)

    def sequence(self, text: str, zone: ZoneInfo, start: datetime) -> Iterable[datetime]:
        iterator = self.read(text, zone, start)
        while True:
            yield iterator.get_next(datetime)

    def at(self, text: str, zone: ZoneInfo, moments: Fires) -> Fires:
        iterator = self.read(text, zone)
        return [iterator.get_next(datetime, start_time=moment) for moment in moments]


class CronSim:
    """cronsim, which is an iterator from one instant."""

    name = "cronsim"

    def __init__(self) -> None:
        from cronsim import CronSim  # noqa: PLC0415 - only there

        self.cronsim = CronSim

    def read(self, text: str, zone: ZoneInfo, start: datetime = START) -> Any:
        return self.cronsim(text, start.astimezone(zone))

    def sequence(self, text: str, zone: ZoneInfo, start: datetime) -> Iterable[datetime]:
        fires: Iterable[datetime] = self.read(text, zone, start)
        return fires

    def at(self, text: str, zone: ZoneInfo, moments: Fires) -> Fires:
        return [next(self.cronsim(text, moment)) for moment in moments]
