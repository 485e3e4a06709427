"""The schedule: which jobs the application has, and when they run."""

from __future__ import annotations

import logging
from datetime import time
from typing import Any

from flask import Flask

from apps.logs import log_run_id
from apps.manageit import jobs
from apps.manageit.services import services
from apps.manageit.settings import Meal, Settings
from duly import CatchUp, Clock, JobDefaults, JobRecord, Scheduler, Trigger, Watch, cron, every
from duly.integrations.flask import get_scheduler, init_app
from duly.notify import Notice
from duly.observe import Metrics
from duly.web.access import Access

log = logging.getLogger(__name__)

CLEANUP, ALERTS = "cleanup_old_menu", "generate_high_low_alerts"


def start_scheduler(app: Flask, clock: Clock | None = None, *, access: Access) -> Scheduler:
    """Create the scheduler of an application, with all jobs, and let it start where it serves.

    Args:
        app: the application, whose database is ready.
        clock: the source of time; default: the machine's.
        access: returns who may see Duly's dashboard.

    Raises:
        DatabaseUnavailable: this process serves, and the database does not respond.
    """
    with app.app_context():
        settings = services().settings
    log.info("Initialising the scheduler.")
    scheduler = Scheduler(
        settings.url.render_as_string(hide_password=False),
        name="manageit",
        timezone=settings.scheduler_timezone,
        queues={"default": 4, "mail": 2},
        defaults=JobDefaults(
            overlap="skip", catch_up=CatchUp("latest"), keep=settings.history_retention_days,
            watch=Watch(failing_after=3),
        ),
        grace=settings.shutdown_grace_seconds,
        start="required",
        clock=clock,
    )  # fmt: skip
    scheduler.around(log_run_id)
    scheduler.include(jobs.jobs)
    scheduler.include(jobs.mails)
    _declare(scheduler, settings)

    def note_failing_job(notice: Notice) -> None:
        with app.app_context():
            jobs.note_failing_job(notice)

    scheduler.notify(note_failing_job, on=["job.failing"])
    start = None if settings.starts_scheduler else False
    init_app(app, scheduler, web="/admin/duly", access=access, start=start)
    Metrics.of(scheduler)  # measures from now on
    return scheduler


def meal_job(meal: Meal) -> str:
    """Return the id of the job that tells the admins of a meal's feedback."""
    return f"notify_{meal.lower()}_admin"


def set_meal_time(meal: Meal, at: time, actor: str) -> JobRecord:
    """Change when the admins are told of a meal's feedback; that wins over the configuration."""
    return get_scheduler().edit(meal_job(meal), trigger=daily(at, services().settings), actor=actor)


def daily(at: time, settings: Settings) -> Trigger:
    """Return the trigger for a time of each day, in the zone of the messes."""
    return cron(f"{at.minute} {at.hour} * * *", tz=settings.scheduler_timezone)


def _declare(scheduler: Scheduler, settings: Settings) -> None:
    """Declare the jobs of section 3 of the specification, in its order."""

    def declare(job_id: str, task: Any, trigger: Trigger, **options: Any) -> None:
        scheduler.job(trigger, id=job_id, **options)(task)
        log.info("Scheduled %s: %s.", job_id, trigger.describe())

    hour = 3600
    midnight, night = daily(settings.cleanup_time, settings), daily(time(3), settings)
    interval = every(minutes=settings.alert_interval_minutes)
    evening = daily(settings.report_time, settings)
    declare(CLEANUP, jobs.cleanup_old_menu, midnight, misfire_grace=6 * hour)
    declare(ALERTS, jobs.generate_high_low_alerts, interval, misfire_grace=600, at_start=True)
    for meal, at in settings.meal_notify_times.items():
        declare(
            meal_job(meal), jobs.notify_admin, daily(at, settings), misfire_grace=hour,
            args={"meal": meal},
        )  # fmt: skip
    declare("send_daily_report", jobs.send_daily_report, evening, misfire_grace=6 * hour)
    declare("prune_history", jobs.prune_history, night, misfire_grace=hour)
