"""Named calendars: stored once, followed by every job that names them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from duly import cron
from duly.errors import CalendarInUse, CalendarNotFound, ConfigurationError, TriggerError
from duly.triggers import dates, weekends
from tests.worker.conftest import World, states


def day(number: int) -> datetime:
    """Nine o'clock of a day in January 2026; the 1st is a Thursday."""
    return datetime(2026, 1, number, 9, tzinfo=UTC)


def test_a_job_excludes_the_dates_of_its_calendar(world: World) -> None:
    """A daily job over a weekend runs on Friday and Monday."""
    scheduler = world.scheduler()
    scheduler.set_calendar("rest", weekends())

    @scheduler.job(cron("0 9 * * *").excluding("rest"), id="daily")
    def work() -> None: ...

    scheduler.tick()
    for _ in range(5):
        world.forward(scheduler, 86400)
    fired = [run.scheduled_for for run in reversed(scheduler.runs(job="daily"))]
    assert fired == [day(1), day(2), day(5)]


def test_a_changed_calendar_moves_the_next_fire_of_its_jobs(world: World) -> None:
    """Only the jobs that use the calendar move, at once and in every process."""
    scheduler = world.scheduler()
    scheduler.set_calendar("feasts", dates(date(2026, 1, 6)))

    @scheduler.job(cron("0 9 * * *").excluding("feasts"), id="daily")
    def work() -> None: ...

    @scheduler.job(cron("0 9 * * *"), id="plain")
    def other() -> None: ...

    scheduler.tick()
    assert scheduler.job("daily").next_fire_at == day(1)
    used = scheduler.set_calendar("feasts", dates(date(2026, 1, 1), date(2026, 1, 2)), actor="ana")
    assert used == ["daily"]
    assert scheduler.job("daily").next_fire_at == day(3)
    assert scheduler.job("plain").next_fire_at == day(1)
    (event,) = scheduler.events(kind="job.changed", job="daily")
    assert event.actor == "ana"


def test_what_was_due_under_the_old_calendar_is_decided_first(world: World) -> None:
    """A time that was due before the change is still decided."""
    scheduler = world.scheduler()
    scheduler.set_calendar("feasts", dates(date(2026, 1, 6)))

    @scheduler.job(cron("0 9 * * *").excluding("feasts"), id="daily")
    def work() -> None: ...

    scheduler.tick()
    world.clock.set(datetime(2026, 1, 1, 10, tzinfo=UTC))
    scheduler.set_calendar("feasts", dates(date(2026, 1, 1)))
    scheduler.tick()
    assert states(scheduler.runs(job="daily")) == ["succeeded"]


def test_a_restart_keeps_the_stored_calendar_and_the_next_fire(world: World) -> None:
    """The declaration names the calendar; restarting changes nothing."""
    for _ in range(3):
        scheduler = world.scheduler()
        if not scheduler.calendars():
            scheduler.set_calendar("feasts", dates(date(2026, 1, 1)))

        @scheduler.job(cron("0 9 * * *").excluding("feasts"), id="daily")
        def work() -> None: ...

        scheduler.prepare()
        assert scheduler.job("daily").revision == 1
        assert scheduler.job("daily").next_fire_at == day(2)


def test_a_calendar_in_use_cannot_be_removed(world: World) -> None:
    """The error names the jobs; an unused calendar is removed, and an unknown one is an error."""
    scheduler = world.scheduler()
    scheduler.set_calendar('the "big" one%_', weekends())

    @scheduler.job(cron("0 9 * * *").excluding('the "big" one%_'), id="daily")
    def work() -> None: ...

    scheduler.prepare()
    with pytest.raises(CalendarInUse, match="daily"):
        scheduler.remove_calendar('the "big" one%_')
    scheduler.remove("daily")
    scheduler.remove_calendar('the "big" one%_')
    with pytest.raises(CalendarNotFound):
        scheduler.remove_calendar('the "big" one%_')
    assert scheduler.calendars() == {}


def test_an_unknown_calendar_is_refused_when_the_job_is_stored(world: World) -> None:
    """The error names the calendar and suggests a similar name."""
    scheduler = world.scheduler()
    scheduler.set_calendar("feasts", weekends())
    scheduler.task(name="work")(lambda: None)
    with pytest.raises(TriggerError, match=r"feast'.*did you mean 'feasts'"):
        scheduler.add("work", cron("0 9 * * *").excluding("feast"), id="x")
    with pytest.raises(ConfigurationError, match="is not a calendar"):
        scheduler.set_calendar("x", "weekends")  # type: ignore[arg-type]
    assert scheduler.jobs() == []
