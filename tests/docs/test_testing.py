"""The test files of the guide to testing pass, with the plugin that Duly brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.test_examples import TEST_FILES
from tests.support.documents import named
from tests.support.processes import Children

# The plugin is named, for environments that were made before Duly had its entry point.
PYTEST = ("-m", "pytest", "-p", "duly.pytest_plugin", "-p", "no:cacheprovider", "-W", "error")
SETTINGS = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = --strict-markers
"""


@pytest.mark.processes
@pytest.mark.parametrize("name", sorted(TEST_FILES))
def test_the_test_file_passes(name: str, children: Children, tmp_path: Path) -> None:
    """A reader who copies the block into a test file sees it pass, without a warning."""
    (tmp_path / f"{name}.py").write_text(named(name).code)
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    child = children.python(*PYTEST, f"{name}.py")
    assert child.wait(timeout=150) == 0, child.output()
    assert " passed" in child.output()
