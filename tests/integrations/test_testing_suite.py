"""The example application's thirty tests in virtual time, run by a pytest of their own."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.processes import Children
from tests.support.sources import ROOT

SUITE = ROOT / "tests" / "integrations" / "hosts" / "orders" / "suite.py"
PLUGIN = "duly.pytest_plugin"
SECONDS = 30
"""A bound for a busy machine; the tests take under 3 s of an idle one."""


@pytest.mark.processes
def test_thirty_tests_take_seconds(children: Children) -> None:
    """An application's whole suite, over weeks of virtual time, is quick."""
    options = ("-p", PLUGIN, "-p", "no:cacheprovider", "-p", "no:xdist", "--durations=3")
    child = children.python("-m", "pytest", *options, "--rootdir", str(ROOT), str(SUITE))
    assert child.wait(timeout=150) == 0, child.output()
    found = re.search(r"30 passed in ([\d.]+)s", child.output())
    assert found is not None, child.output()
    print(f"30 tests in {found[1]} s")  # noqa: T201 - the figure, for `pytest -s`
    assert float(found[1]) < SECONDS


def test_pytest_finds_the_plugin() -> None:
    """Whoever installs Duly has its fixtures, under a name that can also be given with ``-p``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}


@pytest.mark.processes
def test_the_plugin_loads_nothing_before_it_is_used(children: Children) -> None:
    """A project that has Duly installed pays nothing in tests that do not use it."""
    code = f"import {PLUGIN}, sys; print(sorted(n for n in sys.modules if n.startswith('duly')))"
    child = children.python("-c", code)
    assert child.wait(timeout=60) == 0
    assert child.output().strip() == str(["duly", "duly.lazy_names", PLUGIN])


@pytest.mark.processes
def test_the_plugin_says_what_it_needs(children: Children, tmp_path) -> None:
    """Without the application's scheduler, the fixture names what to write."""
    (tmp_path / "test_it.py").write_text("def test_it(duly): pass")
    child = children.python("-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", "test_it.py")
    assert child.wait(timeout=60) == 1
    assert "def duly_scheduler(): return myapp.scheduler" in child.output()
