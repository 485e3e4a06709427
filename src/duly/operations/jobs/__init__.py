"""Operations on jobs: add, find, edit, pause, resume and remove; and the jobs around them."""

from __future__ import annotations

from duly.operations.jobs import add, declaration, edit, find, neighbours, pause, sync

__all__ = ["add", "declaration", "edit", "find", "neighbours", "pause", "sync"]
