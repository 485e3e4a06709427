"""Run the migrations on the connection that `duly.store.schema` passes."""

from __future__ import annotations

from alembic import context

from duly.store.tables import complete

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=complete(),
    version_table="duly_version",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
