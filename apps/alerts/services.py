"""The services of the application, created once from the settings."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from apps.alerts.database import database_at
from apps.alerts.models import RATE_LIMITS
from apps.alerts.settings import Settings
from apps.alerts.tokens import Tokens
from apps.rate_limits import AsyncRateLimiter
from duly import Clock, Scheduler, SystemClock
from duly.observe import Metrics

QUEUES = {"notices": 2, "default": 1}
"""The queues beside that of alerts, and how many of their runs a process executes at once."""


class Services:
    """The services of one application object.

    Args:
        settings: the configuration.
        clock: the source of time; default: the machine's.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        workers = settings.scheduler_max_workers
        self.database = database_at(
            settings.database_url, connections=workers + 5, pooler=settings.database_pooler
        )
        self.scheduler = Scheduler(
            settings.database_url,
            name="alerts",
            timezone="UTC",
            queues={"alerts": workers, **QUEUES},
            heartbeat=settings.heartbeat,
            grace=settings.shutdown_grace_seconds,
            pooler=settings.database_pooler,
            clock=clock,
        )
        self.registry = CollectorRegistry()
        self.registry.register(Metrics.of(self.scheduler))
        self.tokens = Tokens(settings.jwt_secret.get_secret_value(), self.clock)
        self.limiter = AsyncRateLimiter(self.database.engine, RATE_LIMITS, self.clock)
