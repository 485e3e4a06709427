"""The dashboard: pages rendered on the server and refreshed by one small script."""

from __future__ import annotations

from duly.web.dashboard import actions, pages
from duly.web.routes import GuardedRoute

ROUTES: tuple[GuardedRoute, ...] = (*pages.routes, *actions.routes)

__all__ = ["ROUTES"]
