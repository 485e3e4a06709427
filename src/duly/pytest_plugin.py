"""The pytest plugin: the fixture ``duly`` is the `World` of one test.

It is loaded by its entry point wherever Duly is installed, so it imports the rest of Duly only for
a test that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "duly(at=…): when the test of the fixture 'duly' begins, as for duly.testing"
    )


@pytest.fixture
def duly_scheduler() -> Any:
    """The application's scheduler; override this fixture in ``conftest.py``."""
    raise pytest.UsageError(
        "the fixture 'duly' needs your scheduler; write in conftest.py: "
        "@pytest.fixture def duly_scheduler(): return myapp.scheduler"
    )


@pytest.fixture
def duly_database() -> str | None:
    """The URL of a database to share with the application; override this fixture to give one."""
    return None


@pytest.fixture
def duly(
    request: pytest.FixtureRequest, duly_scheduler: Any, duly_database: str | None
) -> Iterator[Any]:
    """The `duly.testing.World` of this test; ``@pytest.mark.duly(at="…")`` says when it begins."""
    from duly.testing import testing  # noqa: PLC0415 - most tests do not ask for it

    marker = request.node.get_closest_marker("duly")
    options = {} if marker is None else marker.kwargs
    with testing(duly_scheduler, **{"database": duly_database, **options}) as world:
        yield world
