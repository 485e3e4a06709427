"""The dashboard: pages for people, rendered here, refreshed by one small script."""

from __future__ import annotations

from duly.web.dashboard import actions, pages
from duly.web.operation import Operation

OPERATIONS: tuple[Operation, ...] = (*pages.operations, *actions.operations)

__all__ = ["OPERATIONS"]
