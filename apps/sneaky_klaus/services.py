"""The services of the application, created once for each application object."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app
from itsdangerous import URLSafeSerializer

from apps.mail import Mailer
from apps.rate_limits import RateLimiter
from apps.sneaky_klaus.settings import Settings
from duly import Clock


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one application object.

    Attributes:
        settings: the configuration.
        clock: the source of time.
        mailer: sends mails.
        limiter: counts attempts to sign in and to register.
        links: signs what the links in mails name.
    """

    settings: Settings
    clock: Clock
    mailer: Mailer
    limiter: RateLimiter
    links: URLSafeSerializer


def services() -> Services:
    """Return the services of the current application."""
    found: Services = current_app.extensions["sneaky_klaus"]
    return found
