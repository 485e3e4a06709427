"""Celery: its workers execute Duly's runs, and its tasks are scheduled by Duly."""

from __future__ import annotations

from duly.integrations.celery.executor import CeleryExecutor
from duly.integrations.celery.tasks import celery_task

__all__ = ["CeleryExecutor", "celery_task"]
