"""The worlds in which users' reports are played again."""

from __future__ import annotations

from tests.worker.conftest import world

__all__ = ["world"]
