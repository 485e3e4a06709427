"""The first tables, and the system user."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from apps.columns import Instant

revision = "0001"
down_revision = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_NUMBER = sa.Numeric(20, 6)


def upgrade() -> None:
    """Create the tables."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SCHEMA IF NOT EXISTS app")
    op.create_table(
        "clients",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="app",
    )
    op.create_table(
        "rate_limits",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="app",
    )
    op.create_index(
        op.f("ix_app_rate_limits_expires_at"),
        "rate_limits",
        ["expires_at"],
        unique=False,
        schema="app",
    )
    users = op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.CheckConstraint("role in ('client', 'admin', 'system')", name="user_role"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
        schema="app",
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("frequency", _JSON, nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("operator", sa.String(length=2), nullable=False),
        sa.Column("threshold", _NUMBER, nullable=False),
        sa.Column("lookback", sa.Interval(), nullable=False),
        sa.Column("recipients", _JSON, nullable=False),
        sa.Column("task_template", _JSON, nullable=True),
        sa.Column("retry", _JSON, nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("schedule_version", sa.BigInteger(), nullable=False),
        sa.Column("scheduled_version", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.CheckConstraint("operator in ('>', '>=', '<', '<=', '=')", name="alert_operator"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["app.clients.id"],
        ),
        sa.ForeignKeyConstraint(
            ["created_by"],
            ["app.users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="app",
    )
    op.create_index(
        "ix_alerts_of_client",
        "alerts",
        ["client_id", "deleted_at", "is_active"],
        unique=False,
        schema="app",
    )
    op.create_table(
        "client_metrics",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("value", _NUMBER, nullable=False),
        sa.Column("measured_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["app.clients.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="app",
    )
    op.create_index(
        "ix_metrics",
        "client_metrics",
        ["client_id", "metric", "measured_at"],
        unique=False,
        schema="app",
    )
    op.create_table(
        "memberships",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["app.clients.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["app.users.id"],
        ),
        sa.PrimaryKeyConstraint("user_id", "client_id"),
        schema="app",
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=191), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("read_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["app.users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id", "key", name="notice_once"),
        schema="app",
    )
    op.create_table(
        "alert_dependencies",
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("child_id", sa.Uuid(), nullable=False),
        sa.Column("condition", sa.String(length=12), nullable=False),
        sa.Column("delay_seconds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["child_id"],
            ["app.alerts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["app.alerts.id"],
        ),
        sa.PrimaryKeyConstraint("parent_id", "child_id"),
        schema="app",
    )
    op.create_index(
        op.f("ix_app_alert_dependencies_child_id"),
        "alert_dependencies",
        ["child_id"],
        unique=False,
        schema="app",
    )
    op.create_table(
        "alert_instances",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("triggered_by", sa.Uuid(), nullable=False),
        sa.Column("trigger", sa.String(length=12), nullable=False),
        sa.Column("scheduled_for", Instant(), nullable=True),
        sa.Column("triggered_at", Instant(), nullable=False),
        sa.Column("parent_instance_id", sa.Uuid(), nullable=True),
        sa.Column("condition_met", sa.Boolean(), nullable=False),
        sa.Column("observed_value", _NUMBER, nullable=True),
        sa.Column("threshold", _NUMBER, nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["app.alerts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["app.clients.id"],
        ),
        sa.ForeignKeyConstraint(
            ["parent_instance_id"],
            ["app.alert_instances.id"],
        ),
        sa.ForeignKeyConstraint(
            ["triggered_by"],
            ["app.users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("alert_id", "parent_instance_id", name="instance_of_parent"),
        sa.UniqueConstraint("alert_id", "scheduled_for", name="instance_of_time"),
        schema="app",
    )
    op.create_index(
        "ix_instances_of_alert",
        "alert_instances",
        ["alert_id", "triggered_at"],
        unique=False,
        schema="app",
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alert_instance_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("assignee", sa.String(length=254), nullable=True),
        sa.Column("status", sa.String(length=6), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_instance_id"],
            ["app.alert_instances.id"],
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["app.clients.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="app",
    )
    op.create_index(
        op.f("ix_app_tasks_alert_instance_id"),
        "tasks",
        ["alert_instance_id"],
        unique=False,
        schema="app",
    )
    op.bulk_insert(users, [{
        "id": UUID(int=0), "email": "system", "password_hash": "none", "role": "system",
        "is_active": True, "created_at": datetime(2025, 1, 1, tzinfo=UTC),
    }])  # fmt: skip
