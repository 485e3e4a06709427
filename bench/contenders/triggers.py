"""The arithmetic of triggers: Duly and its peers in one process."""

from __future__ import annotations

from bench.triggers import compare

__all__ = ["compare"]
