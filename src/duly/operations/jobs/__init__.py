"""Operations on jobs: add, find, edit, pause, resume and remove."""

from __future__ import annotations

from duly.operations.jobs import add, edit, find, pause

__all__ = ["add", "edit", "find", "pause"]
