"""A year of a schedule is forecast without a database and without executing anything."""

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
    """A scheduler that never contacts its database."""
    return Scheduler(f"sqlite:///{tmp_path / 'none.db'}", timezone="Europe/Madrid")


def declare(scheduler: Scheduler, trigger: Trigger, job_id: str = "job", **options: Any) -> None:
    @scheduler.task(name="noop")
    def noop() -> None: ...

    scheduler.job(trigger, id=job_id, **options)(noop)


def test_counts_equal_the_fires(scheduler: Scheduler) -> None:
    """Counting by arithmetic gives the same number as iterating over every fire of the year."""
    declare(scheduler, cron("*/20 8-17 * * 1-5"), "cron")
    declare(scheduler, every(hours=5), "every")
    declare(scheduler, cron("0 9 * * *").excluding(weekends()), "excluding")
    declare(scheduler, at(datetime(2026, 5, 1, tzinfo=UTC)), "at")
    year = simulate_schedule(scheduler, JANUARY, NEXT_YEAR)
    for job_id, job in year.jobs.items():
        times = [fire.at for fire in year.fires(job_id)]
        assert (job.count, job.first, job.last) == (len(times), times[0], times[-1]), job_id
    assert year.total == sum(1 for _fire in year.fires())


def test_fires_are_chronological(scheduler: Scheduler) -> None:
    """The fires of all jobs are merged, by instant and then by job."""
    declare(scheduler, every(hours=2), "b")
    declare(scheduler, every(hours=3), "a")
    day = simulate_schedule(scheduler, JANUARY, datetime(2026, 1, 2, tzinfo=UTC))
    fires = list(day.fires())
    assert fires == sorted(fires)
    assert {fire.job_id for fire in fires} == {"a", "b"}


def test_start_end_and_max_fires_are_honoured(scheduler: Scheduler) -> None:
    """A job fires within its own bounds, and at most ``max_fires`` times."""
    first, last = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC)
    declare(scheduler, every(days=1, anchor=first), "bounded", start=first, end=last)
    declare(scheduler, cron("0 * * * *"), "limited", max_fires=5)
    year = simulate_schedule(scheduler, JANUARY, NEXT_YEAR)
    assert [fire.at.day for fire in year.fires("bounded")] == [1, 2, 3]
    assert year.jobs["bounded"].count == 3
    assert year.jobs["bounded"].last == last
    assert year.jobs["limited"].count == 5


def test_the_start_is_included_and_the_end_excluded(scheduler: Scheduler) -> None:
    """Two adjacent forecasts count each fire exactly once."""
    declare(scheduler, cron("0 0 1 * *", tz="UTC"))
    noon = datetime(2026, 7, 1, tzinfo=UTC)
    first, second = (
        simulate_schedule(scheduler, JANUARY, noon), simulate_schedule(scheduler, noon, NEXT_YEAR),
    )  # fmt: skip
    assert (first.total, second.total) == (6, 6)


def test_a_job_that_never_fires_is_listed(scheduler: Scheduler) -> None:
    """It has a count of zero, and neither a first nor a last fire."""
    declare(scheduler, at(datetime(2020, 1, 1, tzinfo=UTC)))
    job = simulate_schedule(scheduler, JANUARY, NEXT_YEAR).jobs["job"]
    assert (job.count, job.first, job.last) == (0, None, None)


def test_named_calendars_are_passed_in(scheduler: Scheduler) -> None:
    """A job that excludes a named calendar needs its dates, which no database is asked for."""
    declare(scheduler, cron("0 12 * * *").excluding("bank"))
    with pytest.raises(TriggerError, match="bank"):
        simulate_schedule(scheduler, JANUARY, NEXT_YEAR)
    bank = dates("2026-12-25", "2026-12-26")
    year = simulate_schedule(scheduler, JANUARY, NEXT_YEAR, calendars={"bank": bank})
    assert year.total == 363


def test_stored_jobs_are_forecast_on_request(scheduler: Scheduler) -> None:
    """With ``stored=True`` the active jobs in the database are forecast, without paused ones."""

    @scheduler.task()
    def work() -> None: ...

    scheduler.add(work, cron("0 6 * * *"), id="kept")
    scheduler.add(work, cron("0 7 * * *"), id="paused")
    scheduler.pause("paused")
    year = simulate_schedule(scheduler, JANUARY, NEXT_YEAR, stored=True)
    assert {job_id: job.count for job_id, job in year.jobs.items()} == {"kept": 365}


def test_an_application_is_accepted(scheduler: Scheduler) -> None:
    """The scheduler is found where the integrations keep it."""
    declare(scheduler, cron("0 0 * * *"))
    for app in (
        SimpleNamespace(extensions={"duly": scheduler}),
        SimpleNamespace(state=SimpleNamespace(duly=scheduler)),
    ):
        assert simulate_schedule(app, JANUARY, NEXT_YEAR).total == 365


def test_bad_input_is_refused(scheduler: Scheduler) -> None:
    """A missing scheduler, an instant without a zone and an end before the start are errors."""
    with pytest.raises(ConfigurationError, match="is not a Scheduler"):
        simulate_schedule(object(), JANUARY, NEXT_YEAR)
    with pytest.raises(ConfigurationError, match="is before"):
        simulate_schedule(scheduler, NEXT_YEAR, JANUARY)
    with pytest.raises(NaiveDatetimeError):
        simulate_schedule(scheduler, datetime(2026, 1, 1), NEXT_YEAR)  # noqa: DTZ001
