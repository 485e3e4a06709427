"""The pages of the dashboard in the scene: at least one address for each route of a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from duly import Scheduler
from duly.model.run import RunState
from duly.web.dashboard.pages import ROUTES

JOBS = {"job": "load/refunds", "job-paused": "reconcile/klarna", "job-chain": "pipeline/score"}
"""The jobs that are shown, by the names of their pictures."""

CALENDAR = "company holidays"
SHOWN: tuple[RunState, ...] = ("failed", "running", "succeeded")


class Page(NamedTuple):
    """An address of the dashboard.

    Attributes:
        name: the name of its picture.
        path: its path under the mount.
    """

    name: str
    path: str


def pages_of(scheduler: Scheduler) -> list[Page]:
    """Return the pages of the scene.

    Args:
        scheduler: the scheduler of the scene, which knows the ids.
    """
    return [
        page
        for route in ROUTES
        if route.method == "GET" and not route.path.endswith(".txt")
        for page in _pages(route.path, scheduler)
    ]


def _pages(path: str, scheduler: Scheduler) -> Iterator[Page]:
    if path == "/jobs/{job_id}":
        for name, job_id in JOBS.items():
            yield Page(name, _filled(path, "job_id", job_id))
    elif "{job_id}" in path:
        yield Page(_name(path), _filled(path, "job_id", JOBS["job"]))
    elif path == "/runs/{run_id}":
        for state in SHOWN:
            yield Page(f"run-{state}", _filled(path, "run_id", _newest(scheduler, state)))
    elif "{run_id}" in path:
        yield Page(_name(path), _filled(path, "run_id", _newest(scheduler, "failed")))
    elif "{name}" in path:
        yield Page(f"{_name(path)}-one", _filled(path, "name", CALENDAR))
    else:
        yield Page(_name(path), path)


def _newest(scheduler: Scheduler, state: RunState) -> str:
    """Return the newest run in a state; of failed ones, one that has been tried several times."""
    runs = scheduler.runs(state=state, limit=200)
    return max(runs, key=lambda run: (run.attempt, run.id)).id


def _filled(path: str, name: str, value: str) -> str:
    return path.replace(f"{{{name}}}", quote(value, safe=""))


def _name(path: str) -> str:
    """Return the words of a path: ``/jobs/{job_id}/edit`` becomes ``jobs-edit``."""
    words = [part for part in path.split("/") if part and not part.startswith("{")]
    return "-".join(words) or "overview"
