"""The actions of the dashboard: forms that respond with a redirect to a page."""

from __future__ import annotations

from duly.web.dashboard.actions import (
    bulk_jobs,
    bulk_runs,
    jobs,
    queues,
    runs,
    settings,
    switch,
    workers,
)
from duly.web.routes import GuardedRoute

ROUTES: tuple[GuardedRoute, ...] = (
    *jobs.routes,
    *runs.routes,
    *bulk_jobs.routes,
    *bulk_runs.routes,
    *queues.routes,
    *workers.routes,
    *switch.routes,
    *settings.routes,
)

__all__ = ["ROUTES"]
