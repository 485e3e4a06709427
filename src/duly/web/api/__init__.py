"""The REST API: JSON for programs."""

from __future__ import annotations

from duly.web.api import jobs, runs, system
from duly.web.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *system.endpoints,
    *jobs.endpoints,
    *runs.endpoints,
)

__all__ = ["ENDPOINTS"]
