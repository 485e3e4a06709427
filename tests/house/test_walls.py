"""Which module may import which: between the layers of Duly, and from other packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.sources import ROOT, sources

# What each room may import from outside the standard library. A room that is not named: nothing.
OUTSIDE: dict[str, set[str]] = {
    "triggers": {"holidays", "tzdata"},
    "model": {"pydantic", "pydantic_core", "tzdata"},
    "store": {"sqlalchemy", "alembic"},
    "decisions": {"sqlalchemy"},
    "worker": {"sqlalchemy", "pydantic_core"},
    "notify": {"apprise"},
    "operations": {"sqlalchemy"},
    "scheduler": {"sqlalchemy"},
    "web": {"fastapi", "starlette", "jinja2", "markupsafe", "itsdangerous", "pydantic"},
    "observe": {"prometheus_client"},
    "tracing": {"opentelemetry"},
    "integrations": {
        "starlette",
        "fastapi",
        "flask",
        "flask_login",
        "werkzeug",
        "click",
        "a2wsgi",
        "sqlalchemy",
        "celery",
        "kombu",
    },
    "testing": {"sqlalchemy"},
    "pytest_plugin": {"pytest"},
    "demo": {"starlette", "uvicorn"},
    "cli": {"click", "rich", "httpx2", "flask"},
}
# The pages and the API see these rooms and no others: never the engine, never SQL.
BELOW_WEB = {
    "web",
    "observe",
    "scheduler",
    "model",
    "triggers",
    "registry",
    "errors",
    "clock",
    "serving",
}
# Values that calls of the scheduler take and return, defined beside these calls.
RESULTS = {
    "duly.operations.jobs.find.MissedRange",
    *(f"duly.operations.filters.{name}" for name in ("JobFilters", "RunFilters")),
    "duly.store.limits.KeyLimit",
    *(f"duly.operations.measures.{name}" for name in ("Counts", "QueueCounts")),
    "duly.operations.bulk.BulkResult",
    "duly.operations.outcomes.RunOutcome",
    "duly.operations.dead_letters.DeadLetters",
    *(f"duly.operations.attention.{name}" for name in ("Attention", "Concern")),
    *(
        f"duly.operations.throughput.{name}"
        for name in ("Throughput", "ThroughputPeriod", "Window")
    ),
    *(f"duly.operations.events.{name}" for name in ("Activity", "OwnedEvent")),
    *(f"duly.operations.filters.{name}" for name in ("JobFilters", "RunFilters")),
    *(f"duly.operations.jobs.neighbours.{name}" for name in ("JobLink", "Neighbours")),
    *(f"duly.operations.run_counts.{name}" for name in ("RunCounts", "UnfinishedRuns")),
    *(f"duly.operations.status.{name}" for name in ("Health", "QueueStatus", "Status")),
}
# What an application may import beside the door: what the design names, and the values that the
# facade takes and returns.
PUBLIC = {
    *("duly.web", "duly.notify", "duly.integrations", "duly.forecast", "duly.errors"),
    *("duly.triggers", "duly.model", "duly.clock", "duly.observe"),
}


def test_imports_run_only_downward() -> None:
    """The layers of pyproject.toml hold, and no modules import each other in a cycle."""
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_each_layer_imports_only_what_it_may() -> None:
    """A framework, a driver or SQL is imported only by the layers that were made for it."""
    anywhere = sys.stdlib_module_names | {"duly"}
    strange = [
        f"{source}:{line} {name}"
        for source in sources("src")
        for line, name in source.imports
        if top(name) not in OUTSIDE.get(source.room, set()) | anywhere
    ]
    assert not strange


def test_web_imports_the_scheduler_and_values_only() -> None:
    """``duly.web`` imports the scheduler and values, and neither the worker nor SQL."""
    round_it = [
        f"{source}:{line} {name}"
        for source in sources("src/duly/web")
        for line, name in source.imports
        if top(name) == "duly" and name.split(".")[1] not in BELOW_WEB and name not in RESULTS
    ]
    assert not round_it


def test_applications_use_public_names_only() -> None:
    """The applications import only what any user of Duly would."""
    inner = [
        f"{source}:{line} {name}"
        for source in sources("apps")
        for line, name in source.imports
        if top(name) == "duly" and name.count(".") > 1
        if not any(name == door or name.startswith(f"{door}.") for door in PUBLIC)
    ]
    assert not inner


def test_the_package_imports_nothing_around_it() -> None:
    """Nothing in ``src`` imports the applications, the benchmarks, the simulation or the tests."""
    around = {"apps", "bench", "scripts", "simulation", "tests"}
    for source in sources("src"):
        assert not {top(name) for _, name in source.imports} & around, source


def top(name: str) -> str:
    return name.partition(".")[0]
