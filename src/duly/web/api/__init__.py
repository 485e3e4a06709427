"""The REST API, which speaks JSON."""

from __future__ import annotations

from duly.web.api import jobs, runs, system
from duly.web.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *system.endpoints,
    *jobs.endpoints,
    *runs.endpoints,
)

__all__ = ["ENDPOINTS"]
