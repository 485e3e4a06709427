"""The contenders."""

from __future__ import annotations

from bench.support.contender import Contender
from bench.support.line import DULY

OWN = Contender(DULY, "duly")
STORING = Contender(DULY, "duly_store")
LIMIT = Contender("limit", "limit")
APSCHEDULER = Contender("APScheduler 3", "apscheduler3", "peers")
APSCHEDULER4 = Contender("APScheduler 4", "apscheduler4", "apscheduler4")
HUEY = Contender("Huey", "huey", "peers")
PGQUEUER = Contender("PgQueuer", "pgqueuer", "peers")
PROCRASTINATE = Contender("Procrastinate", "procrastinate", "peers")
CELERY = Contender("Celery", "celery", "peers")


def variants(contender: Contender, option: str, *values: object) -> list[Contender]:
    """Return a variant of the contender for each of these values of an option."""
    return [
        Contender(
            f"{contender.name} {option}={value}",
            contender.module,
            contender.environment,
            {**contender.arguments, option: value},
        )
        for value in values
    ]
