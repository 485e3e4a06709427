"""What one can do with jobs: add, find, edit, pause, resume and remove them."""

from __future__ import annotations

from duly.operations.jobs import add, edit, find, pause

__all__ = ["add", "edit", "find", "pause"]
