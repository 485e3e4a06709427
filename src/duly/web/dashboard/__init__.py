"""The dashboard: pages rendered on the server, kept up to date by small scripts."""

from __future__ import annotations

from duly.web.dashboard import actions, pages
from duly.web.routes import GuardedRoute

ROUTES: tuple[GuardedRoute, ...] = (*pages.ROUTES, *actions.ROUTES)

__all__ = ["ROUTES"]
