"""Which databases a test runs on, where that is not all of them."""

from __future__ import annotations

import pytest

ON_SQLITE = pytest.mark.parametrize("prepared_database_url", ["sqlite"], indirect=True)
"""Runs a test on SQLite only: nothing in what it promises depends on the kind of database."""
