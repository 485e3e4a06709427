"""``duly next`` and ``duly explain``, for people and for scripts."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from duly.cli.main import main

AFTER = ["--after", "2026-03-06T00:00:00Z"]


def call(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, arguments, prog_name="duly")


def test_next_prints_local_and_utc_times() -> None:
    """Each fire has a line with its local time, its offset and its instant."""
    result = call("next", "0 9 * * 1-5", "--tz", "Europe/Madrid", "-n", "2", *AFTER)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "Fri 2026-03-06 09:00:00 +0100  2026-03-06T08:00:00Z",
        "Mon 2026-03-09 09:00:00 +0100  2026-03-09T08:00:00Z",
    ]


def test_next_as_json_is_a_list_of_instants() -> None:
    """The JSON is a list of instants, without other text."""
    result = call("next", "@daily", "-n", "2", "--json", *AFTER)
    assert json.loads(result.output) == ["2026-03-07T00:00:00+00:00", "2026-03-08T00:00:00+00:00"]


def test_explain_names_the_gap_day_and_the_shifted_run() -> None:
    """At 02:30 in New York, the day without that time is named, with the time it runs instead."""
    result = call("explain", "30 2 * * *", "--tz", "America/New_York", "-n", "3", *AFTER)
    assert result.exit_code == 0
    assert "gap: 02:30 does not exist on 2026-03-08" in result.output
    assert (
        "fires at 02:30, which does not exist on 2026-03-08 in America/New_York: "
        "will run at 03:30" in result.output
    )


def test_explain_as_json_marks_the_gap() -> None:
    """The JSON marks the fire that a clock change shifts."""
    result = call("explain", "30 2 * * *", "--tz", "America/New_York", "--json", *AFTER)
    told = json.loads(result.output)
    assert told["crontab"] == "30 2 * * *"
    assert [fire["marks"] for fire in told["fires"][:4]] == [[], [], ["gap"], []]


def test_a_trigger_may_be_given_as_json() -> None:
    """The JSON form that the API returns is accepted."""
    result = call("next", '{"kind":"every","seconds":3600}', "-n", "1", *AFTER)
    assert result.output.split()[-1] == "2026-03-06T01:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["next", "61 * * * *"], "minute field"),
        (["next", "* * * * *", "--tz", "Mars/Olympus"], "Mars/Olympus"),
        (["next", "* * * * *", "--after", "2026-01-01"], "does not identify an instant"),
        (["next", "* * * * *", "--after", "soon"], "not a valid ISO 8601 instant"),
        (["next", '{"kind":"lunar"}'], "lunar"),
        (["next", "* * * * *", "-n", "0"], "0 is not in the range"),
        (["explian", "* * * * *"], "No such command"),
    ],
)
def test_a_wrong_call_names_its_error_and_exits_with_2(arguments: list[str], words: str) -> None:
    """A wrong argument ends with exit code 2 and a line that names it, without traceback."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
