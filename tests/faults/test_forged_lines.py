"""Text of users in the log of ``duly run``: it is shown, and it cannot do anything."""

from __future__ import annotations

import json
import logging

import pytest

from duly.context import current_run
from duly.log_format import JsonLines, TextLines, stamp_current_run
from duly.run_log import RUN_FIELDS
from duly.testing import make_run
from tests.support.processes import Children

EVIL = "a\x1b[2Jb\r\n2026-01-01T00:00:00+0000 INFO    duly: forged\x00\x7f\x9b\u2028\u202e\ud800"


def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
    """Return a record with a message from outside, as an argument."""
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(f"shop.{message}", 40, "x.py", 1, "bad: %s", (message,), info)


def test_E22_a_message_is_one_printable_line() -> None:
    """Newlines and escape sequences are shown escaped; other text is left as it is."""
    line = TextLines().format(record(EVIL))
    assert line.isprintable()
    assert r"a\x1b[2Jb\r\n2026" in line
    assert "Grüße, 世界" in TextLines().format(record("Grüße, 世界"))


def test_a_line_of_a_run_tells_which_run() -> None:
    """Runs write at the same time; Duly's own lines about a run contain its id already."""
    made = record("the order")
    vars(made).update(duly_run="01a2", duly_job=None, duly_task="charge")
    assert TextLines().format(made).endswith("shop.the order: charge 01a2: bad: the order")
    made = record("01a2 of charge")
    vars(made).update(duly_run="01a2", duly_job=None, duly_task="charge")
    assert TextLines().format(made).endswith(": bad: 01a2 of charge")


def test_a_line_of_any_logger_tells_which_run() -> None:
    """While a function runs, its lines and those of libraries that it calls are stamped."""
    idle, busy = record("idle"), record("busy")
    stamp_current_run(idle)
    run = make_run()
    token = current_run.set(run)
    try:
        stamp_current_run(busy)
    finally:
        current_run.reset(token)
    assert not hasattr(idle, "duly_run")
    fields = json.loads(JsonLines().format(busy))
    assert [fields[name] for name in RUN_FIELDS] == [run.id, None, "task", "default", 1]
    assert f"{run.task} {run.id}: bad: busy" in TextLines().format(busy)


def test_E22_a_traceback_stays_readable_and_cannot_forge_a_line() -> None:
    """Each of its lines is marked, whatever the error's message contains."""
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        lines = TextLines().format(record("x", error)).split("\n")
    assert len(lines) > 3
    assert lines[1] == "  | Traceback (most recent call last):"
    assert all(line.startswith("  | ") for line in lines[1:])
    assert all(line.isprintable() for line in lines)
    assert any("raise ValueError(EVIL)" in line for line in lines)


def test_E22_json_is_one_line_without_control_characters() -> None:
    """It reads back as what was logged, with the fields of the run."""
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        made = record(EVIL, error)
    vars(made).update(duly_run="r", duly_job=None, duly_task="t")
    line = JsonLines().format(made)
    assert line.isascii()
    assert line.isprintable()
    fields = json.loads(line)
    assert fields["message"] == "bad: " + EVIL
    assert (fields["duly_run"], fields["duly_task"]) == ("r", "t")
    assert "ValueError" in fields["error"]


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()], ids=["text", "json"])
def test_E22_formatting_leaves_the_record_as_it_is(formatter: logging.Formatter) -> None:
    """Other handlers of the application get what was logged."""
    made = record("a\nb", ValueError("c"))
    before = dict(vars(made))
    formatter.format(made)
    assert vars(made) == before


CALL = "from duly.cli.main import main; main(prog_name='duly')"
PROGRAM = """
import logging
from duly import Run, Scheduler

scheduler = Scheduler({url!r})

@scheduler.task()
def work(run: Run):
    run.log.warning("a\\x1b[2Jb\\nforged line")
    raise ValueError("c\\nforged line")

scheduler.enqueue(work)
"""


def test_E22_the_log_of_duly_run_cannot_be_forged(
    children: Children, prepared_sqlite_url: str, tmp_path: object
) -> None:
    """A run logs and raises: no line of the output begins with text of the run."""
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "forging.py").write_text(PROGRAM.format(url=prepared_sqlite_url))
    child = children.python("-c", CALL, "run", "forging:scheduler", "--app-dir", folder, "--once")
    assert child.wait() == 0
    output = child.output()
    assert r"a\x1b[2Jb\nforged line" in output
    assert "\x1b" not in output
    assert not any(line.startswith("forged") for line in output.splitlines())
