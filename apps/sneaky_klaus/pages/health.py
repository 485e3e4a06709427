"""Whether the application works, for those who monitor it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, abort, request

from apps.networks import is_inside
from apps.sneaky_klaus.services import services
from duly import DulyError
from duly.integrations.flask import get_scheduler
from duly.observe import Metrics

health = Blueprint("health", __name__)

BEAT_WITHIN = timedelta(seconds=90)


@health.get("/health")
def show() -> Any:
    """Report whether jobs are executed: by this process, or by others if it only serves."""
    try:
        if is_working():
            return {"status": "healthy", "jobs": get_scheduler().count_jobs()}
    except DulyError:  # the database does not respond, so nothing is executed
        pass
    return {"status": "unhealthy", "reason": "Scheduler not running"}, 503


@health.get("/metrics")
def metrics() -> Response:
    """Return Duly's metrics, to allowed networks only."""
    if not is_inside(request.remote_addr or "", services().settings.metrics_networks):
        abort(403, "This network may not read the metrics.")
    text, content_type = Metrics.of(get_scheduler()).expose()
    return Response(text, content_type=content_type)


def is_working() -> bool:
    """Return whether jobs are executed.

    A process with a scheduler of its own answers for itself: its thread must work. One that only
    serves pages looks whether any other process has sent a heartbeat lately.
    """
    if services().settings.scheduler_enabled:
        return get_scheduler().health().ok
    since = services().clock.now() - BEAT_WITHIN
    return any(worker.fires and worker.beat_at >= since for worker in get_scheduler().workers())
