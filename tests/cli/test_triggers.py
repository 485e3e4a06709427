"""``duly next`` and ``duly explain`` as a person and a script use them."""

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
    """One line a fire: the wall clock with its offset, and the instant."""
    result = call("next", "0 9 * * 1-5", "--tz", "Europe/Madrid", "-n", "2", *AFTER)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "Fri 2026-03-06 09:00:00 +0100  2026-03-06T08:00:00Z",
        "Mon 2026-03-09 09:00:00 +0100  2026-03-09T08:00:00Z",
    ]


def test_next_as_json_is_a_list_of_instants() -> None:
    """A script gets instants and nothing else."""
    result = call("next", "@daily", "-n", "2", "--json", *AFTER)
    assert json.loads(result.output) == ["2026-03-07T00:00:00+00:00", "2026-03-08T00:00:00+00:00"]


def test_explain_names_the_gap_day_and_the_shifted_run() -> None:
    """New York, 02:30: the day on which it does not exist, and when it runs instead."""
    result = call("explain", "30 2 * * *", "--tz", "America/New_York", "-n", "3", *AFTER)
    assert result.exit_code == 0
    assert "gap: 02:30 does not exist on 2026-03-08" in result.output
    assert (
        "fires at 02:30, which does not exist on 2026-03-08 in America/New_York: "
        "will run at 03:30" in result.output
    )


def test_explain_as_json_marks_the_gap() -> None:
    """The same facts for a program."""
    result = call("explain", "30 2 * * *", "--tz", "America/New_York", "--json", *AFTER)
    told = json.loads(result.output)
    assert told["crontab"] == "30 2 * * *"
    assert [fire["marks"] for fire in told["fires"][:4]] == [[], [], ["gap"], []]


def test_a_trigger_as_json_is_taken() -> None:
    """What the API shows can be pasted."""
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
def test_a_wrong_call_says_what_is_wrong_and_exits_with_2(arguments: list[str], words: str) -> None:
    """Bad input: a line that names it, exit code 2, no traceback."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
