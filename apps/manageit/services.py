"""The services of the application, created once for each application object."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from flask import current_app

from apps.mail import Mailer
from apps.manageit.database import DatabaseManager
from apps.manageit.settings import Settings
from apps.rate_limits import RateLimiter
from duly import Clock


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one application object.

    Attributes:
        settings: the configuration.
        clock: the source of time.
        database: the cursor helper.
        mailer: sends mails; ``None``: notices are only stored.
        limiter: counts attempts to sign in.
    """

    settings: Settings
    clock: Clock
    database: DatabaseManager
    mailer: Mailer | None
    limiter: RateLimiter


def services() -> Services:
    """Return the services of the current application."""
    found: Services = current_app.extensions["manageit"]
    return found


def get_fixed_time() -> datetime:
    """Return the present in the zone of the messes: the only clock of this application."""
    return services().clock.now().astimezone(services().settings.zone)


def today() -> date:
    """Return the date in the zone of the messes."""
    return get_fixed_time().date()
