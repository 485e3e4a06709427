"""The pages of the dashboard: one noun in each file."""

from __future__ import annotations

from duly.web.dashboard.pages import (
    audit,
    backfill,
    calendars,
    dead_letters,
    job,
    job_form,
    jobs,
    keys,
    limits,
    notices,
    overview,
    run,
    run_log,
    run_retry,
    runs,
    settings,
    throughput,
    workers,
)
from duly.web.routes import GuardedRoute

ROUTES: tuple[GuardedRoute, ...] = (
    *overview.routes,
    *throughput.routes,
    *jobs.routes,
    *job.routes,
    *job_form.routes,
    *backfill.routes,
    *runs.routes,
    *run.routes,
    *run_log.routes,
    *run_retry.routes,
    *dead_letters.routes,
    *workers.routes,
    *limits.routes,
    *audit.routes,
    *settings.routes,
    *keys.routes,
    *notices.routes,
    *calendars.routes,
)

__all__ = ["ROUTES"]
