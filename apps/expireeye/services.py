"""The services of the application, created once from the settings."""

from __future__ import annotations

from apps.expireeye.database import Database
from apps.expireeye.follower import Follower
from apps.expireeye.limits import RateLimit
from apps.expireeye.metrics import Metrics
from apps.expireeye.push import Hub
from apps.expireeye.settings import Settings
from apps.expireeye.tokens import Tokens
from duly import Clock, Scheduler, SystemClock

LOGIN_WINDOW = 15 * 60
_FAILED_LOGINS = 10
_CONNECTS_PER_MINUTE = 120


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
        self.database = Database(settings.database_url)
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
        self.failed_logins = RateLimit(_FAILED_LOGINS, LOGIN_WINDOW, self.clock)
        self.connects = RateLimit(_CONNECTS_PER_MINUTE, 60, self.clock)
