"""What holds for every application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apps.slow_work import SlowWork


@pytest.fixture(autouse=True)
def no_slow_work_in_transactions() -> Iterator[None]:
    """Each test of an application also finds slow work within its transactions."""
    with SlowWork().watched() as slow_work:
        yield
    assert slow_work.found == []
