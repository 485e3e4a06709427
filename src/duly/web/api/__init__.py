"""The REST API, which speaks JSON: one noun in each file."""

from __future__ import annotations

from duly.web.api import (
    bulk,
    calendars,
    dead_letters,
    document,
    events,
    health,
    jobs,
    keys,
    limits,
    metrics,
    notices,
    preview,
    queues,
    runs,
    stream,
    switch,
    tasks,
    throughput,
    workers,
)
from duly.web.routes import GuardedRoute

ROUTES: tuple[GuardedRoute, ...] = (
    *document.routes,
    *health.routes,
    *metrics.routes,
    *throughput.routes,
    *jobs.routes,
    *preview.routes,
    *runs.routes,
    *notices.routes,
    *bulk.routes,
    *dead_letters.routes,
    *tasks.routes,
    *queues.routes,
    *keys.routes,
    *limits.routes,
    *calendars.routes,
    *workers.routes,
    *switch.routes,
    *events.routes,
    *stream.routes,
)

__all__ = ["ROUTES"]
