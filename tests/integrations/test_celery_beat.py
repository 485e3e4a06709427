"""``duly import celery-beat``: the schedules of Celery beat become jobs with the same fires."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module, reload
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab
from click.testing import CliRunner

from duly import Scheduler
from duly.cli.main import main
from duly.model.job import JobRecord
from tests.support.processes import Children

SHOP = "tests.integrations.hosts.celery_beat_app"
DJANGO = Path(__file__).with_name("hosts") / "django_beat.py"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def scheduler(prepared_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    """The application's scheduler."""
    monkeypatch.setenv("DULY_URL", prepared_sqlite_url)
    module: Any = reload(import_module(SHOP))
    yield module.scheduler
    module.scheduler.store.dispose()


def duly(*options: str) -> str:
    """Run ``duly import celery-beat``, and return what it prints."""
    command = ["import", "celery-beat", f"{SHOP}:scheduler", f"{SHOP}:celery_app", *options]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_dry_run_tells_what_it_would_do_and_writes_nothing(scheduler: Scheduler) -> None:
    """It names each job, what is not carried over, and the code that the application needs."""
    shown = duly()
    assert scheduler.jobs() == []
    assert "weekdays: option 'priority' is not carried over" in shown
    assert "sun: a schedule of type Sunrise has no equivalent" in shown
    assert "Nothing was written; --apply adds the jobs." in shown
    code = "scheduler.task()(celery_task('shop.report', app=celery_app, queue='slow'))"
    assert code in shown
    assert "shop.roof'" not in shown


def test_a_beat_schedule_becomes_jobs_once(scheduler: Scheduler) -> None:
    """The jobs have the entries' names, arguments and options; a second import adds nothing."""
    added = json.loads(duly("--apply", "--json"))
    assert {each["outcome"] for each in added if each["id"] != "sun"} == {"added"}
    jobs = {job.id: job for job in scheduler.jobs()}
    assert jobs.keys() == {"nightly", "weekdays", "friday 13", "weekend", "often", "seconds"}
    assert jobs["weekdays"].task == "celery:shop.report@slow"
    assert jobs["weekdays"].args == {"*": [7], "full": True}
    assert jobs["weekdays"].options.expires == 600
    again = json.loads(duly("--apply", "--json"))
    assert {each["outcome"] for each in again if each["id"] != "sun"} == {"exists"}


def test_the_jobs_fire_when_beat_would(scheduler: Scheduler) -> None:
    """Each crontab is compared with Celery's own arithmetic, minute by minute for eighty days."""
    duly("--apply")
    schedules = import_module(SHOP).celery_app.conf.beat_schedule
    compared = 0
    for job in scheduler.jobs():
        schedule = schedules[job.id]["schedule"]
        if isinstance(schedule, crontab):
            assert fires(job) == expected(schedule), job.id
            compared += 1
    assert compared == 4


def fires(job: JobRecord) -> list[datetime]:
    """The fires of a job from January to March of 2026, when no clock changes."""
    found, moment = [], START
    while (following := after(job, moment)) and following < START + timedelta(days=80):
        found.append(following)
        moment = following
    return found


def after(job: JobRecord, moment: datetime) -> datetime | None:
    """The next fire of a job after an instant."""
    assert job.trigger is not None
    return job.trigger.next_after(moment)


def expected(schedule: crontab) -> list[datetime]:
    """The minutes of that time which Celery's fields contain."""
    found = []
    for minute in range(1, 80 * 24 * 60):
        moment = START + timedelta(minutes=minute)
        local = moment + timedelta(hours=1)  # in Madrid
        if (
            local.minute in schedule.minute
            and local.hour in schedule.hour
            and local.day in schedule.day_of_month
            and local.month in schedule.month_of_year
            and (local.isoweekday() % 7) in schedule.day_of_week
        ):
            found.append(moment)
    return found


@pytest.mark.processes
def test_a_django_database_becomes_jobs(
    scheduler: Scheduler, children: Children, tmp_path: Path
) -> None:
    """A database that django-celery-beat's own migrations made is read, and nothing else."""
    pytest.importorskip("django_celery_beat", reason="django-celery-beat is not installed")
    database = tmp_path / "django.sqlite3"
    child = children.python(DJANGO, str(database))
    assert child.wait() == 0, child.output()
    found = json.loads(duly("--database", f"sqlite:///{database}", "--apply", "--json"))
    outcomes = {each["id"]: each["outcome"] for each in found}
    assert outcomes.pop("celery.backend_cleanup", "added") == "added"
    assert outcomes == {"move": "added", "report": "added", "roof": "refused", "sweep": "added"}
    jobs = {job.id: job for job in scheduler.jobs()}
    report = jobs["report"]
    assert report.args == {"*": [7], "full": True}
    assert after(report, START) == datetime(2026, 1, 1, 1, 30, tzinfo=UTC)
    assert after(report, datetime(2026, 1, 2, 2, tzinfo=UTC)) == datetime(
        2026, 1, 5, 1, 30, tzinfo=UTC
    )
    assert after(jobs["move"], START) == datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert (jobs["sweep"].state, jobs["sweep"].paused_reason) == (
        "paused",
        "disabled in Celery beat",
    )


def test_what_is_not_celery_is_refused(scheduler: Scheduler) -> None:
    """Exit code 2, as for every wrong argument."""
    wrong = ["import", "celery-beat", f"{SHOP}:scheduler", f"{SHOP}:scheduler"]
    done = CliRunner().invoke(main, wrong)
    assert (done.exit_code, scheduler.jobs()) == (2, [])
    assert "is not a Celery application" in done.output
