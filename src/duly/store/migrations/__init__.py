"""The steps that bring the tables of an older Duly up to date, oldest first.

Each module has a ``revision`` and an ``upgrade()``, which is written with Alembic's operations.
"""

from __future__ import annotations

from duly.store.migrations.versions import v0001_first_tables

MIGRATIONS = (v0001_first_tables,)
