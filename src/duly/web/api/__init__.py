"""The REST API, which speaks JSON."""

from __future__ import annotations

from duly.web.api import bulk, dead_letters, document, jobs, runs, system
from duly.web.routes import GuardedRoute

ROUTES: tuple[GuardedRoute, ...] = (
    *document.routes,
    *system.routes,
    *jobs.routes,
    *runs.routes,
    *bulk.routes,
    *dead_letters.routes,
)

__all__ = ["ROUTES"]
