"""What mypy and pyright say about programs that use Duly, and what an editor shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.typing.language_server import LanguageServer

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).with_name("programs")
MISTAKES = PROGRAMS / "mistakes.py"
BIN = Path(sys.executable).parent
Error = tuple[str, int]
"""A file's name, and a line."""


def test_mypy_finds_every_mistake_and_nothing_else() -> None:
    """Under ``--strict``: each planted mistake in its line, and none in a correct program."""
    strict = ("--strict", "--config-file=", "--follow-imports=silent", "--show-absolute-path")
    output = run(BIN / "mypy", *strict, *programs())
    found = {
        (Path(match[1]).name, int(match[2]))
        for match in re.finditer(r"^(.+?):(\d+): error: ", output, re.MULTILINE)
    }
    assert found == planted(), output


def test_pyright_finds_every_mistake_and_nothing_else() -> None:
    """Each planted mistake in its line, and none in a correct program."""
    output = run(BIN / "pyright", "--outputjson", "--pythonpath", sys.executable, *programs())
    report: dict[str, Any] = json.loads(output)
    found = {
        (Path(item["file"]).name, item["range"]["start"]["line"] + 1)
        for item in report["generalDiagnostics"]
        if item["severity"] == "error"
    }
    assert found == planted(), output


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("scheduler.enqueue", ["unique_key: str", "-> str", "Enqueue one call of a task"]),
        ("scheduler.aio.enqueue", ["unique_key: str", "Coroutine", "Enqueue one call of a task"]),
        ("scheduler.aio.add", ["JobOptionFields", "JobRecord", "Store a job. It is durable"]),
        ("scheduler.run_now", ["wait: float | None", "RunRecord", "Run a job once"]),
        ("scheduler.aio.run_now", ["wait: float | None", "Coroutine", "Run a job once"]),
    ],
)
def test_an_editor_shows_signature_and_docstring(
    server: LanguageServer, expression: str, shown: list[str]
) -> None:
    """Hovering over a call shows what it takes, what it gives and what it does."""
    text = f"from duly import Scheduler\nscheduler = Scheduler('sqlite:///a.db')\n{expression}\n"
    hover = server.hover(text, line=2, character=len(expression) - 1)
    assert [words for words in shown if words not in hover] == []


@pytest.fixture(scope="module")
def server() -> Any:
    with LanguageServer([str(BIN / "pyright-langserver"), "--stdio"], ROOT) as started:
        yield started


def planted() -> set[Error]:
    """The lines that end in ``# error``."""
    lines = MISTAKES.read_text().splitlines()
    return {
        (MISTAKES.name, number)
        for number, line in enumerate(lines, start=1)
        if line.endswith("# error")
    }


def programs() -> list[Path]:
    return sorted(PROGRAMS.glob("*.py"))


def run(*command: str | Path) -> str:
    environment = {
        **os.environ,
        "MYPYPATH": str(ROOT / "src"),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    done = subprocess.run(
        command, cwd=PROGRAMS, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout
