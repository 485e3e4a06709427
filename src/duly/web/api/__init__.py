"""The REST API, which speaks JSON."""

from __future__ import annotations

from duly.web.api import document, jobs, runs, system
from duly.web.routes import GuardedRoute

ROUTES: tuple[GuardedRoute, ...] = (
    *document.routes,
    *system.routes,
    *jobs.routes,
    *runs.routes,
)

__all__ = ["ROUTES"]
