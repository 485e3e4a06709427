"""A valid request for each route, for tests that send one to every route."""

from __future__ import annotations

import re
from typing import Any

from duly.web.routes import GuardedRoute, PageRoute
from tests.web.site import MOUNT, TOKEN, Client, Site

PERIOD = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:05Z"}
BODIES: dict[str, Any] = {
    "create_job": {"task": "greet", "trigger": "every hour", "id": "new"},
    "replace_job": {"task": "greet", "trigger": "every 2 hours"},
    "change_job": {"tags": ["changed"]},
    "backfill_job": PERIOD,
    "preview_trigger": {"trigger": "0 9 * * mon-fri"},
    "set_calendar": {"kind": "weekends"},
    "set_limit": {"max_running": 2},
    "create_key": {"name": "deploy", "role": "viewer"},
    "discard_run": {"reason": "why"},
    **{
        name: {"everything": True}
        for name in ("cancel_runs", "retry_runs", "pause_jobs", "resume_jobs", "remove_jobs")
    },
    "discard_runs": {"everything": True, "reason": "why"},
    "add_notice_rule": {"name": "new", "on": ["run.failed"], "to": ["pager"]},
    "send_test_notice": {"to": "pager"},
}

FORMS: dict[str, dict[str, str]] = {
    "submit_new_job": {
        "task": "greet", "id": "new", "options.owner": "acme", "trigger.kind": "every",
        "trigger.every": "1",
    },
    "backfill_job": {**PERIOD, "limit": "100"},
    "limit_key": {"key": "shop", "max_running": "2"},
    "create_key": {"name": "deploy"},
    "add_rule": {"name": "new", "on": "run.failed", "to": "pager"},
    "send_test": {"to": "pager"},
    "move_job": {"queue": "mail"},
    "add_calendar": {"name": "rest", "definition": '{"kind": "weekends"}'},
}  # fmt: skip


def path_of(site: Site, route: GuardedRoute) -> str:
    """The path of a route, with ids of what is stored."""
    ids = {
        "job_id": "stock", "run_id": site.run_of("stock"), "name": "default", "key": "shop",
    }  # fmt: skip
    path = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "none"), route.path)
    return MOUNT + path + ("?follow=false" if path.endswith("/stream") else "")


def send(client: Client, site: Site, route: GuardedRoute) -> Any:
    """Send a valid request to a route."""
    path = path_of(site, route)
    if isinstance(route, PageRoute):
        if route.method == "GET":
            return client.get(path)
        fields = FORMS.get(route.endpoint.__name__, {})
        return client.post(path, data={"csrf_token": TOKEN, "reason": "why", **fields})
    body = BODIES.get(route.endpoint.__name__, {})
    content = {} if route.method in {"GET", "DELETE"} else {"json": body}
    return client.request(route.method, path, headers={"X-CSRF-Token": TOKEN}, **content)
