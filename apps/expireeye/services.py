"""The services of the application, created once from the settings."""

from __future__ import annotations

from apps.expireeye.database import database_at
from apps.expireeye.follower import Follower
from apps.expireeye.metrics import Metrics
from apps.expireeye.models import RATE_LIMITS
from apps.expireeye.push import Hub
from apps.expireeye.settings import Settings
from apps.expireeye.tokens import Tokens
from apps.rate_limits import AsyncRateLimiter
from duly import Clock, Scheduler, SystemClock


class Services:
    """The services of one application object.

    Args:
        settings: the configuration.
        clock: the source of time; default: the machine's.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.started_at = self.clock.now()
        self.database = database_at(settings.database_url)
        self.scheduler = Scheduler(
            settings.database_url,
            name="expireeye",
            timezone=settings.scheduler_timezone,
            heartbeat=settings.scheduler_heartbeat,
            grace=settings.shutdown_grace_seconds,
            clock=clock,
        )
        self.metrics = Metrics()
        self.metrics.listen(self.scheduler)
        self.hub = Hub(settings.ws_max_per_user, self.metrics)
        self.follower = Follower(self.database, self.hub, self.clock)
        self.tokens = Tokens(settings.jwt_secret, self.clock)
        self.limiter = AsyncRateLimiter(self.database.engine, RATE_LIMITS, self.clock)
