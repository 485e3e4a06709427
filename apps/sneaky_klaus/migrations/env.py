"""Alembic's environment: migrates with the engine of the current Flask application."""

from __future__ import annotations

from alembic import context
from flask import current_app

from apps.sneaky_klaus.database import Base, db

with db.engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        user_module_prefix="",
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()
