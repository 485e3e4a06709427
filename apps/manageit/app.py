"""The application factory."""

from __future__ import annotations

import logging

from flask import Flask
from sqlalchemy import MetaData, NullPool, create_engine

from apps.logs import set_up_logging
from apps.mail import Mailer, SmtpMailer
from apps.manageit import cleanup
from apps.manageit.database import DatabaseManager
from apps.manageit.pages.accounts import duly_access
from apps.manageit.pages.site import init_site
from apps.manageit.schedule import start_scheduler
from apps.manageit.services import Services
from apps.manageit.settings import ConfigName, Settings
from apps.rate_limits import RateLimiter, rate_limit_table
from duly import Clock, SystemClock
from duly.notify import Smtp

log = logging.getLogger(__name__)


def create_app(
    config_name: ConfigName | None = None,
    *,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> Flask:
    """Return the application; its scheduler starts where it serves.

    Args:
        config_name: the configuration; default: ``APP_CONFIG`` of the environment.
        settings: the settings; default: those of the environment.
        clock: the source of time; default: the machine's.

    Raises:
        ConfigurationError: ``CLEANUP_TABLES`` names a table or column that cannot be cleaned up.
    """
    settings = settings or (Settings(app_config=config_name) if config_name else Settings())
    app = Flask("apps.manageit", static_folder=None)
    app.config["SECRET_KEY"] = settings.secret_key.get_secret_value()
    database = DatabaseManager(settings.url, settings.db_pool_size)
    database.create_tables()
    cleanup.check_tables(database, settings.cleanup_tables)
    app.extensions["manageit"] = Services(
        settings, clock or SystemClock(), database, _mailer(settings),
        _limiter(database, clock or SystemClock()),
    )  # fmt: skip
    init_site(app)
    app.extensions["scheduler"] = start_scheduler(app, clock, access=duly_access)
    log.info("The application is ready; its configuration is %s.", settings.app_config)
    return app


def from_environment() -> Flask:
    """Return the application that the environment configures, for a WSGI server."""
    settings = Settings()
    set_up_logging(settings.log_level)
    return create_app(settings=settings)


def _limiter(database: DatabaseManager, clock: Clock) -> RateLimiter:
    # Attempts are rare, and no connection is left open for the next one.
    engine = create_engine(database.url, poolclass=NullPool)
    return RateLimiter(engine, rate_limit_table(MetaData()), clock)


def _mailer(settings: Settings) -> Mailer | None:
    if settings.mail_host is None:
        return None
    password = settings.mail_password
    return SmtpMailer(
        Smtp(
            settings.mail_host, settings.mail_from, settings.mail_port, settings.mail_security,
            settings.mail_username, password.get_secret_value() if password else None,
        )
    )  # fmt: skip
