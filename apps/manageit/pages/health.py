"""Liveness, readiness and metrics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from apps.manageit import measures, operations
from apps.manageit.schedule import ALERTS
from apps.manageit.services import services
from apps.networks import is_inside
from duly import DulyError
from duly.integrations.flask import get_scheduler
from duly.observe import Metrics

health = Blueprint("health", __name__)

GENERATED_WITHIN = timedelta(hours=2)


@health.get("/healthz")
def live() -> Any:
    """Report that the process responds."""
    return jsonify(status="ok")


@health.get("/readyz")
def ready() -> Any:
    """Report whether jobs are executed, and alerts were generated recently."""
    problem = _problem()
    return jsonify(ready=problem is None, problem=problem), 503 if problem else 200


@health.get("/metrics")
def metrics() -> Any:
    """Return the metrics of Duly and of the messes, to allowed networks only."""
    if not is_inside(request.remote_addr or "", services().settings.metrics_networks):
        abort(403, "This network may not read the metrics.")
    registry = CollectorRegistry()
    registry.register(Metrics.of(get_scheduler()))
    registry.register(measures.Messes())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _problem() -> str | None:
    """Return why this process should receive no requests; ``None``: it should."""
    state = get_scheduler().health()
    if services().settings.starts_scheduler and not state.ok:
        return state.detail or f"the scheduler is {state.engine}"
    try:
        if not operations.is_running():
            return "the scheduler is not running"
        done = get_scheduler().runs(job=ALERTS, state="succeeded", limit=1)
    except DulyError as error:
        return str(error)
    finished = done[0].finished_at if done else None
    oldest = services().clock.now() - GENERATED_WITHIN
    if finished is None or finished < oldest:
        return "the alerts were not generated in the last two hours"
    return None
