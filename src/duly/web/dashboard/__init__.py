"""The dashboard: pages rendered on the server and refreshed by one small script."""

from __future__ import annotations

from duly.web.dashboard import actions, pages
from duly.web.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (*pages.endpoints, *actions.endpoints)

__all__ = ["ENDPOINTS"]
