"""Numbers in the documentation are those of the code."""

from __future__ import annotations

import inspect
import pkgutil
import re
from typing import Any

import pytest

from duly import Scheduler
from tests.support.sources import ROOT

DOCS = ROOT / "docs"
WORDS = {1: "one", 2: "two", 3: "three", 5: "five", 10: "ten"}
NUMBERS = [
    # page, a passage in which {} is the number, where the code has it
    ("decisions/0006-prefetching.md", "within {ms} ms", "worker.queue_slots:PREFETCH_SECONDS"),
    ("decisions/0006-prefetching.md", "at most {}.", "worker.queue_slots:PREFETCH_LIMIT"),
    (
        "decisions/0007-history-knows-its-end.md",
        "(succeeded {}",
        "model.policy:KEEP_DAYS.succeeded",
    ),
    ("decisions/0007-history-knows-its-end.md", "failed {}", "model.policy:KEEP_DAYS.failed"),
    (
        "decisions/0008-versions-of-declarations.md",
        "every {} s",
        "worker.maintenance:RECONCILE_EVERY",
    ),
    (
        "decisions/0009-completions-are-not-held-back.md",
        "up to {} completions",
        "worker.completion:BATCH",
    ),
    ("decisions/0010-many-rows-at-once.md", "up to {} rows", "store.sql.bulk_insert:SEVERAL.0"),
    (
        "decisions/0011-low-water-marks.md",
        "at most {} runs per statement",
        "store.dialects.postgresql_claim:AT_ONCE",
    ),
    ("design/engine.md", "more than {word} seconds", "store.server_time:STEP"),
    ("design/engine.md", "until {word} further readings", "store.server_time:WITNESSES"),
    (
        "design/engine.md",
        "overtaken by runs claimed within {word} second",
        "worker.claims.low_water:SCAN_EVERY",
    ),
    ("guides/backfill.md", "priority {}", "operations.backfill:PRIORITY"),
    ("guides/backfill.md", "{} days by default", "model.policy:KEEP_DAYS_OTHERWISE"),
    (
        "guides/dependencies.md",
        "more than {word} dependencies",
        "operations.jobs.dependency_graph:LONGEST_CHAIN",
    ),
    ("guides/deploys.md", "every {} seconds", "worker.maintenance:RECONCILE_EVERY"),
    ("guides/processes.md", "killed {word} second later", "executors.process.executor:KILL_AFTER"),
    ("guides/transactional.md", "{word} times in all", "worker.transactional:TRIES"),
    ("guides/transactional.md", "may therefore take {} seconds", "worker.execution:PATIENCE"),
    ("guides/watch.md", "a timeout of {word} seconds", "operations.pings:TIMEOUT_S"),
]
"""Passages that a change of a constant would make untrue."""


@pytest.mark.parametrize(("page", "passage", "constant"), NUMBERS)
def test_the_number_is_the_code_s(page: str, passage: str, constant: str) -> None:
    """A reader who plans with a number finds the one that Duly uses."""
    number = value_of(constant)
    words = passage.format(f"{number:,g}", ms=f"{number * 1000:g}", word=WORDS.get(int(number)))
    assert re.sub(r"\s+", " ", words) in re.sub(r"\s+", " ", (DOCS / page).read_text())


DEFAULTS = [
    # page, a passage in which {} is the default, the call and its parameter
    ("guides/running.md", "`grace` seconds to finish ({},", Scheduler, "grace"),
    ("guides/running.md", "after `wait` seconds ({} by default)", Scheduler.run_due, "wait"),
    ("guides/fastapi.md", "Scheduler(…, grace={})", Scheduler, "grace"),
    ("guides/flask.md", "Scheduler(…, grace={})", Scheduler, "grace"),
    ("guides/backfill.md", "a backfill of more than {} runs", Scheduler.backfill, "limit"),
]


@pytest.mark.parametrize(("page", "passage", "call", "parameter"), DEFAULTS)
def test_the_default_is_the_code_s(page: str, passage: str, call: Any, parameter: str) -> None:
    """A default that a guide mentions is the one in the signature."""
    default = inspect.signature(call).parameters[parameter].default
    words = passage.format(f"{default:,}")
    assert words in re.sub(r"\s+", " ", (DOCS / page).read_text())


def test_the_heartbeat_s_times_are_the_code_s() -> None:
    """The engine's design and the guide on running state the times of both profiles."""
    profiles = pkgutil.resolve_name("duly.model.worker:PROFILES")
    design = (DOCS / "design" / "engine.md").read_text()
    for name, beat in profiles.items():
        times = (beat.interval, beat.lease, beat.fence, beat.rescue)
        assert " | ".join([f"| `{name}`", *(f"{seconds:g} s" for seconds in times)]) in design
    normal, fast = profiles["normal"], profiles["fast"]
    guide = re.sub(r"\s+", " ", (DOCS / "guides" / "running.md").read_text())
    assert f"(every {normal.rescue:g} s, or {fast.rescue:g} s with" in guide
    assert f"lease of {normal.lease:g} s ({fast.lease:g} s)" in guide


def value_of(constant: str) -> float:
    """A constant of the package, as a number; after its name an item of it."""
    module, _, path = constant.partition(":")
    name, *keys = path.split(".")
    value: Any = pkgutil.resolve_name(f"duly.{module}:{name}")
    for key in keys:
        value = value[int(key) if key.isdigit() else key]
    return value.total_seconds() if hasattr(value, "total_seconds") else value
