"""Every Python block in the documentation runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.documents import Example, examples, named, pages
from tests.support.processes import Children

EXAMPLES = [example for page in pages() for example in examples(page)]
PROGRAMS = [example for example in EXAMPLES if example.name is None]
# test_servers.py runs these.
SERVERS = {"fastapi_app", "flask_app"}
# test_testing.py runs these.
TEST_FILES = {"test_orders", "test_fastapi_app", "test_flask_app", "test_shared_database"}
PUBLIC = {
    *("duly", "duly.errors", "duly.forecast", "duly.log_format", "duly.notify", "duly.observe"),
    *("duly.testing", "duly.web"),
    *("duly.integrations.fastapi", "duly.integrations.flask", "duly.integrations.starlette"),
    *("duly.integrations.alembic", "duly.integrations.flask_login"),
    "duly.integrations.celery",
}


@pytest.mark.processes
@pytest.mark.parametrize("example", PROGRAMS, ids=str)
def test_the_example_runs(example: Example, children: Children, tmp_path: Path) -> None:
    """A reader who copies the block into a file and runs it sees no error or warning."""
    for name, code in example.files.items():
        folder = (tmp_path / name).parent
        folder.mkdir(exist_ok=True)
        if folder.name not in (tmp_path.name, "tests"):
            (folder / "__init__.py").touch()  # as the guides tell
        (tmp_path / name).write_text(code)
    child = children.python("-W", "error", "-c", example.program)
    assert child.wait(timeout=150) == 0, child.output()


def test_no_example_is_left_out() -> None:
    """Every block either runs as a program or has a test of its own; none is skipped."""
    assert {example.name for example in EXAMPLES if example.name} == SERVERS | TEST_FILES


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_example_uses_public_names_only(example: Example) -> None:
    """A reader learns nothing that may change without notice."""
    tree = ast.parse(example.code)
    imported = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert {name for name in imported if name.split(".")[0] == "duly"} <= PUBLIC
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not {name for name in attributes if name.startswith("_") or name == "store"}


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_the_first_examples_are_short(name: str) -> None:
    """Each of the two applications in the README has at most twenty lines of code."""
    assert len([line for line in named(name).code.splitlines() if line.strip()]) <= 20
