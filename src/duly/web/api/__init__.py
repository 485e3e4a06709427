"""The REST API: JSON for programs."""

from __future__ import annotations

from duly.web.api import jobs, runs, system, tick
from duly.web.api.prefix import PREFIX
from duly.web.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *system.operations,
    *jobs.operations,
    *runs.operations,
    *tick.operations,
)

__all__ = ["OPERATIONS", "PREFIX"]
