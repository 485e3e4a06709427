"""A year of a schedule, found without a database and without executing anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from duly import Scheduler, at, cron, dates, every, weekends
from duly.errors import ConfigurationError, NaiveDatetimeError, TriggerError
from duly.forecast import simulate_schedule
from duly.triggers import Trigger

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
NEXT_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def scheduler(tmp_path: Path) -> Scheduler:
    """One that never touches its database."""
    return Scheduler(f"sqlite:///{tmp_path / 'none.db'}", timezone="Europe/Madrid")


def declare(scheduler: Scheduler, trigger: Trigger, job_id: str = "job", **options: Any) -> None:
    @scheduler.task(name="noop")
    def noop() -> None: ...

    scheduler.job(trigger, id=job_id, **options)(noop)


def test_counts_equal_the_fires(scheduler: Scheduler) -> None:
    """What is counted by arithmetic is what one finds by walking through the year."""
    declare(scheduler, cron("*/20 8-17 * * 1-5"), "cron")
    declare(scheduler, every(hours=5), "every")
    declare(scheduler, cron("0 9 * * *").excluding(weekends()), "excluding")
    declare(scheduler, at(datetime(2026, 5, 1, tzinfo=UTC)), "at")
    year = simulate_schedule(scheduler, JANUARY, NEXT_YEAR)
    for job_id, job in year.jobs.items():
        times = [fire.at for fire in year.fires(job_id)]
        assert (job.count, job.first, job.last) == (len(times), times[0], times[-1]), job_id
    assert year.total == sum(1 for _fire in year.fires())


def test_fires_come_in_the_order_of_time(scheduler: Scheduler) -> None:
    """The fires of all jobs are merged: by instant, then by job."""
    declare(scheduler, every(hours=2), "b")
    declare(scheduler, every(hours=3), "a")
    day = simulate_schedule(scheduler, JANUARY, datetime(2026, 1, 2, tzinfo=UTC))
    fires = list(day.fires())
    assert fires == sorted(fires)
    assert {fire.job_id for fire in fires} == {"a", "b"}


def test_start_end_and_max_fires_are_honoured(scheduler: Scheduler) -> None:
    """A job fires within its own bounds, and no more often than it may."""
    first, last = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC)
    declare(scheduler, every(days=1, anchor=first), "bounded", start=first, end=last)
    declare(scheduler, cron("0 * * * *"), "limited", max_fires=5)
    year = simulate_schedule(scheduler, JANUARY, NEXT_YEAR)
    assert [fire.at.day for fire in year.fires("bounded")] == [1, 2, 3]
    assert year.jobs["bounded"].count == 3
    assert year.jobs["bounded"].last == last
    assert year.jobs["limited"].count == 5


def test_the_first_instant_is_in_and_the_last_is_not(scheduler: Scheduler) -> None:
    """Two stretches that follow each other count nothing twice and miss nothing."""
    declare(scheduler, cron("0 0 1 * *", tz="UTC"))
    noon = datetime(2026, 7, 1, tzinfo=UTC)
    first, second = (
        simulate_schedule(scheduler, JANUARY, noon), simulate_schedule(scheduler, noon, NEXT_YEAR),
    )  # fmt: skip
    assert (first.total, second.total) == (6, 6)


def test_a_job_that_never_fires_is_listed(scheduler: Scheduler) -> None:
    """Zero is an answer, too."""
    declare(scheduler, at(datetime(2020, 1, 1, tzinfo=UTC)))
    job = simulate_schedule(scheduler, JANUARY, NEXT_YEAR).jobs["job"]
    assert (job.count, job.first, job.last) == (0, None, None)


def test_named_calendars_are_given(scheduler: Scheduler) -> None:
    """A job that leaves out a named calendar needs it, since there is no database to ask."""
    declare(scheduler, cron("0 12 * * *").excluding("bank"))
    with pytest.raises(TriggerError, match="bank"):
        simulate_schedule(scheduler, JANUARY, NEXT_YEAR)
    bank = dates("2026-12-25", "2026-12-26")
    year = simulate_schedule(scheduler, JANUARY, NEXT_YEAR, calendars={"bank": bank})
    assert year.total == 363


def test_stored_jobs_are_taken_on_request(scheduler: Scheduler) -> None:
    """The jobs that are in the database, paused ones left out."""

    @scheduler.task()
    def work() -> None: ...

    scheduler.add(work, cron("0 6 * * *"), id="kept")
    scheduler.add(work, cron("0 7 * * *"), id="paused")
    scheduler.pause("paused")
    year = simulate_schedule(scheduler, JANUARY, NEXT_YEAR, stored=True)
    assert {job_id: job.count for job_id, job in year.jobs.items()} == {"kept": 365}


def test_an_application_may_be_given(scheduler: Scheduler) -> None:
    """Where an integration keeps its scheduler, it is found."""
    declare(scheduler, cron("0 0 * * *"))
    for app in (
        SimpleNamespace(extensions={"duly": scheduler}),
        SimpleNamespace(state=SimpleNamespace(duly=scheduler)),
    ):
        assert simulate_schedule(app, JANUARY, NEXT_YEAR).total == 365


def test_bad_input_is_refused(scheduler: Scheduler) -> None:
    """No scheduler, instants without a zone, an end before the start."""
    with pytest.raises(ConfigurationError, match="is no Scheduler"):
        simulate_schedule(object(), JANUARY, NEXT_YEAR)
    with pytest.raises(ConfigurationError, match="is before"):
        simulate_schedule(scheduler, NEXT_YEAR, JANUARY)
    with pytest.raises(NaiveDatetimeError):
        simulate_schedule(scheduler, datetime(2026, 1, 1), NEXT_YEAR)  # noqa: DTZ001
