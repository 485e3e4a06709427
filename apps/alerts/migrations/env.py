"""Alembic's environment: migrates on the connection that `apps.alerts.database` gives."""

from __future__ import annotations

from alembic import context

from apps.alerts.models import Base
from duly.integrations.alembic import include_name

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    include_schemas=True,
    include_name=include_name,
    version_table="alerts_version",
)
with context.begin_transaction():
    context.run_migrations()
