"""``duly --help`` is fast: it imports no slow library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from duly.cli.main import COMMANDS

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
