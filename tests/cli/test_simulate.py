"""``duly simulate``: an application's schedule, from a command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from duly import Scheduler, every
from duly.cli.main import main

APP = """
from duly import Scheduler, cron, every
scheduler = Scheduler({url!r}, timezone="Europe/Madrid")

@scheduler.job(cron("30 2 * * *"), id="nightly")
def nightly() -> None: ...

@scheduler.job(every(hours=6), id="sync")
def sync() -> None: ...
"""
NAME = "duly_simulated_application"
STRETCH = ("--from", "2026-03-28T00:00:00Z", "--to", "2026-03-31T00:00:00Z")
Call = Callable[..., Result]


@pytest.fixture
def call(prepared_database_url: str, tmp_path: Path) -> Iterator[Call]:
    """Call the command for an application whose database is empty."""
    (tmp_path / f"{NAME}.py").write_text(APP.format(url=prepared_database_url))
    path = list(sys.path)

    def one(*arguments: str, app: str = f"{NAME}:scheduler") -> Result:
        words = ("simulate", "--app-dir", str(tmp_path), app, *arguments)
        return CliRunner().invoke(main, words, prog_name="duly")

    yield one
    sys.path[:] = path
    sys.modules.pop(NAME, None)


def test_it_counts_the_fires_of_each_job(call: Call) -> None:
    """Each job has a line with its first and last fire; Madrid has no 02:30 on 29 March."""
    result = call(*STRETCH)
    assert result.exit_code == 0, result.output
    nightly, sync, total = result.output.splitlines()
    assert nightly.split()[:5] == [
        "nightly", "3", "2026-03-28T01:30:00Z", "to", "2026-03-30T00:30:00Z"
    ]  # fmt: skip
    assert sync.split()[:2] == ["sync", "12"]
    assert total == "15 fires of 2 jobs"


def test_as_json_it_lists_each_fire(call: Call) -> None:
    """The JSON has counts and, with --fires, every fire in chronological order."""
    told = json.loads(call(*STRETCH, "--json", "--fires").output)
    assert (told["total"], [job["count"] for job in told["jobs"]]) == (15, [3, 12])
    assert told["from"] == "2026-03-28T00:00:00+00:00"
    fires = [fire["at"] for fire in told["fires"]]
    assert fires == sorted(fires)
    assert len(fires) == 15
    assert "fires" not in json.loads(call(*STRETCH, "--json").output)


def test_each_fire_is_a_line(call: Call) -> None:
    """With --fires, each fire has a line of its own."""
    lines = call(*STRETCH, "--fires").output.splitlines()
    assert len(lines) == 15
    assert "2026-03-29T01:30:00Z  nightly" in lines


def test_stored_jobs_can_be_simulated(call: Call, prepared_database_url: str) -> None:
    """Without --stored nothing is read from the database; with it nothing is written."""
    assert json.loads(call(*STRETCH, "--stored", "--json").output)["jobs"] == []
    made = Scheduler(prepared_database_url)
    made.job(every(hours=12), id="another")(nothing)
    made.prepare()
    made.store.dispose()
    told = json.loads(call(*STRETCH, "--stored", "--json").output)
    assert [job["id"] for job in told["jobs"]] == ["another"]


def nothing() -> None:
    """A task."""


def test_the_default_is_a_week_from_now(call: Call) -> None:
    """Every six hours is 28 fires in a week."""
    told = json.loads(call("--json").output)
    assert told["jobs"][1]["count"] == 28


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "2026-01-01"], "does not identify an instant"),
        (["--to", "soon"], "not a valid ISO 8601 instant"),
        (["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"], "is before"),
    ],
)
def test_a_wrong_call_names_its_error(call: Call, arguments: list[str], words: str) -> None:
    """A wrong argument ends with exit code 2 and no traceback."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
