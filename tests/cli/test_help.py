"""``duly --help`` is fast: it imports no slow library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from duly.cli.main import COMMANDS, main

SLOW = (
    "sqlalchemy", "alembic", "pydantic", "pydantic_core", "rich", "asyncio", "starlette", "fastapi",
    "flask", "werkzeug", "django", "jinja2", "uvicorn", "gunicorn", "psycopg", "pymysql",
)  # fmt: skip
CODE = """
import sys
from duly.cli.main import main
try:
    main(sys.argv[1:], prog_name="duly")
except SystemExit as end:
    assert not end.code, end.code
loaded = {name.partition(".")[0] for name in sys.modules}
print("loaded:", *sorted(loaded & set(%r)))
"""


@pytest.mark.processes
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    """A new process imports no database library, pydantic or web framework for the help."""
    done = subprocess.run(
        [sys.executable, "-c", CODE % (SLOW,), *arguments],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *told, loaded = done.stdout.splitlines()
    assert loaded == "loaded:"
    if arguments != ["--version"]:
        assert {line.split()[0] for line in told if line.startswith("  ")} >= set(COMMANDS)


def test_no_command_has_two_parameters_of_one_name() -> None:
    """Such as an argument KEY beside the option ``--key`` of all commands, whose value it took."""
    twice = [
        f"{path} {name}"
        for path, command in _commands(main, "duly")
        for name in {each.name for each in command.params}
        if [each.name for each in command.params].count(name) > 1
    ]
    assert twice == []


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Return a command and all below it, with their names."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, f"{path} {name}")
