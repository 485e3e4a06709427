"""The application: its parts, its scheduler, and how they are connected."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from itsdangerous import URLSafeSerializer

from apps.logs import log_run_id, log_start_and_end, set_up_logging
from apps.mail import FolderMailer, Mailer, ResendMailer, SmtpMailer
from apps.rate_limits import RateLimiter
from apps.sneaky_klaus import jobs, mailing, webhooks
from apps.sneaky_klaus.database import (
    NOT_MIGRATED,
    db,
    init_database,
    is_migrated,
    refuse_requests_until_migrated,
)  # fmt: skip
from apps.sneaky_klaus.models import RATE_LIMITS
from apps.sneaky_klaus.pages.site import dashboard_access, init_site
from apps.sneaky_klaus.services import Services
from apps.sneaky_klaus.settings import Settings
from duly import Clock, Scheduler, SystemClock
from duly.integrations.flask import init_app
from duly.notify import Notice, Smtp
from duly.observe import Metrics


def create_app(settings: Settings | None = None, clock: Clock | None = None) -> Flask:
    """Return the application; its scheduler starts where it serves, on a migrated database.

    Args:
        settings: the configuration; default: that of the environment, which also sets up logging.
        clock: the source of time; default: the machine's.
    """
    settings = settings or _settings_of_environment()
    app = Flask("apps.sneaky_klaus", static_folder=None)
    app.config["SECRET_KEY"] = settings.secret_key.get_secret_value()
    init_database(app, settings.database_url)
    refuse_requests_until_migrated(app)
    app.extensions["sneaky_klaus"] = _services(app, settings, clock or SystemClock())
    init_site(app)
    starts = settings.scheduler_enabled and is_migrated(app)
    scheduler = _scheduler(app, settings, clock)
    init_app(
        app, scheduler, start=None if starts else False, web="/admin/duly", access=dashboard_access
    )
    Metrics.of(scheduler)  # measures from the first run on
    return app


def from_environment() -> Flask:
    """Return the application that the environment configures, for a WSGI server.

    Raises:
        NotMigrated: the database does not have the tables of this version.
    """
    app = create_app()
    if not is_migrated(app):
        raise NotMigrated(NOT_MIGRATED)
    return app


class NotMigrated(Exception):
    """The database does not have the tables of this version."""


def _settings_of_environment() -> Settings:
    settings = Settings()
    set_up_logging(settings.log_level)
    return settings


def _services(app: Flask, settings: Settings, clock: Clock) -> Services:
    with app.app_context():
        limiter = RateLimiter(db.engine, RATE_LIMITS, clock)
    links = URLSafeSerializer(settings.secret_key.get_secret_value(), salt="reminders off")
    return Services(settings, clock, _mailer(settings), limiter, links)


def _mailer(settings: Settings) -> Mailer:
    if settings.mail == "file":
        return FolderMailer(Path(settings.mail_folder), settings.mail_from)
    if settings.mail == "resend":
        key = settings.resend_api_key.get_secret_value()
        return ResendMailer(key, settings.resend_url, settings.mail_from)
    password = settings.smtp_password
    return SmtpMailer(
        Smtp(
            settings.smtp_host, settings.mail_from, settings.smtp_port, settings.smtp_security,
            settings.smtp_username, password.get_secret_value() if password else None,
        )
    )  # fmt: skip


def _scheduler(app: Flask, settings: Settings, clock: Clock | None) -> Scheduler:
    workers = settings.scheduler_max_workers
    scheduler = Scheduler(
        name="sneaky_klaus",
        queues={"default": workers, "mail": workers, "webhooks": 2},
        defaults=settings.job_defaults,
        grace=settings.shutdown_grace_seconds,
        clock=clock,
    )
    scheduler.around(log_run_id)
    scheduler.around(log_start_and_end)
    for group in (jobs.jobs, mailing.jobs, webhooks.jobs):
        scheduler.include(group)

    def tell_admins(notice: Notice) -> None:
        with app.app_context():
            mailing.tell_admins(notice)

    def tell_webhooks(notice: Notice) -> None:
        with app.app_context():
            webhooks.tell_of_failures(notice)

    scheduler.notify(tell_admins, on=["run.failed", "worker.lost"], every=3600)
    scheduler.notify(tell_webhooks, on=["run.failed"], name="webhooks")
    return scheduler
