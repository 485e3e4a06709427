"""The business tables. Jobs, runs, retries, dead letters and leases are Duly's."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Interval,
    MetaData,
    Numeric,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from apps.columns import Instant
from apps.rate_limits import rate_limit_table

Role = Literal["client", "admin", "system"]
Operator = Literal[">", ">=", "<", "<=", "="]
Outcome = Literal["on_success", "on_triggered", "on_failure", "always"]

SCHEMA = "app"
SYSTEM_USER = uuid.UUID(int=0)
"""The actor of automatic runs, a row that the first migration adds."""

Json = JSON().with_variant(JSONB(), "postgresql")
Number = Numeric(20, 6, asdecimal=False)


class Base(DeclarativeBase):
    """Declarative base of the application's tables."""

    metadata = MetaData(schema=SCHEMA)
    type_annotation_map: ClassVar = {
        datetime: Instant,
        dict[str, Any]: Json,
        list[str]: Json,
        float: Number,
        timedelta: Interval,
    }


RATE_LIMITS = rate_limit_table(Base.metadata)


def _key() -> Mapped[uuid.UUID]:
    return mapped_column(primary_key=True, default=uuid.uuid4)


class User(Base):
    """A person with an account, or the system user, which cannot sign in."""

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = _key()
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[Role] = mapped_column(String(10))
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("role in ('client', 'admin', 'system')", name="user_role"),)


class Client(Base):
    """An advertising client, whose figures alerts watch."""

    __tablename__ = "clients"

    id: Mapped[uuid.UUID] = _key()
    name: Mapped[str] = mapped_column(String(200))


class Membership(Base):
    """The right of a user to manage the alerts of a client."""

    __tablename__ = "memberships"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(User.id), primary_key=True)
    client_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Client.id), primary_key=True)


class Alert(Base):
    """An alert: a condition on a client's figures, and when it is evaluated.

    Attributes:
        frequency: in Duly's frequency language; ``None`` (JSON null): only after other alerts.
        lookback: how far back the figures are averaged.
        retry: the retry policy; ``None``: that of the settings.
        turn: the number of alerts that the client had before this one: of the alerts that are due
            at the same instant, those with smaller numbers run first, so that a client with many
            alerts does not delay the others.
        schedule_version: increases with every change of what its jobs are made of.
        scheduled_version: the version that its jobs were made of; ``None``: it has no jobs.
        problem: why it cannot be scheduled, if the stored row breaks the rules.
    """

    __tablename__ = "alerts"

    id: Mapped[uuid.UUID] = _key()
    client_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Client.id))
    name: Mapped[str] = mapped_column(String(200))
    frequency: Mapped[dict[str, Any] | None] = mapped_column(Json, nullable=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    metric: Mapped[str] = mapped_column(String(64))
    operator: Mapped[Operator] = mapped_column(String(2))
    threshold: Mapped[float]
    lookback: Mapped[timedelta]
    recipients: Mapped[list[str]]
    task_template: Mapped[dict[str, Any] | None]
    retry: Mapped[dict[str, Any] | None]
    turn: Mapped[int] = mapped_column(default=0)
    schedule_version: Mapped[int] = mapped_column(BigInteger, default=1)
    scheduled_version: Mapped[int | None] = mapped_column(BigInteger)
    problem: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey(User.id))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("operator in ('>', '>=', '<', '<=', '=')", name="alert_operator"),
        Index("ix_alerts_of_client", "client_id", "deleted_at", "is_active"),
    )


class Dependency(Base):
    """One alert runs after each run of another one whose outcome matches."""

    __tablename__ = "alert_dependencies"

    parent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Alert.id), primary_key=True)
    child_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Alert.id), primary_key=True, index=True)
    condition: Mapped[Outcome] = mapped_column(String(12))
    delay_seconds: Mapped[int] = mapped_column(default=0)


class Instance(Base):
    """One evaluation of an alert. A failed run leaves none; it is in Duly's history.

    Attributes:
        trigger: ``schedule``, ``manual``, ``dependency`` or ``retry``.
        parent_instance_id: the instance of the run that this one followed.
    """

    __tablename__ = "alert_instances"

    id: Mapped[uuid.UUID] = _key()
    alert_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Alert.id))
    client_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Client.id))
    triggered_by: Mapped[uuid.UUID] = mapped_column(ForeignKey(User.id))
    trigger: Mapped[str] = mapped_column(String(12))
    scheduled_for: Mapped[datetime | None]
    triggered_at: Mapped[datetime]
    parent_instance_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("app.alert_instances.id")
    )
    condition_met: Mapped[bool]
    observed_value: Mapped[float | None]
    threshold: Mapped[float]
    status: Mapped[str] = mapped_column(String(10))

    __table_args__ = (
        UniqueConstraint("alert_id", "scheduled_for", name="instance_of_time"),
        UniqueConstraint("alert_id", "parent_instance_id", name="instance_of_parent"),
        Index("ix_instances_of_alert", "alert_id", "triggered_at"),
    )


class Task(Base):
    """Work that an alert gives to people."""

    __tablename__ = "tasks"

    id: Mapped[uuid.UUID] = _key()
    alert_instance_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Instance.id), index=True)
    client_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Client.id))
    title: Mapped[str] = mapped_column(String(300))
    body: Mapped[str] = mapped_column(Text)
    assignee: Mapped[str | None] = mapped_column(String(254))
    status: Mapped[Literal["open", "done"]] = mapped_column(String(6), default="open")
    created_at: Mapped[datetime]


class Metric(Base):
    """One measured figure of a client."""

    __tablename__ = "client_metrics"

    id: Mapped[uuid.UUID] = _key()
    client_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Client.id))
    metric: Mapped[str] = mapped_column(String(64))
    value: Mapped[float]
    measured_at: Mapped[datetime]

    __table_args__ = (Index("ix_metrics", "client_id", "metric", "measured_at"),)


class Notice(Base):
    """An in-app notice. ``key`` makes its delivery idempotent."""

    __tablename__ = "notices"

    id: Mapped[uuid.UUID] = _key()
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(User.id))
    key: Mapped[str] = mapped_column(String(191))
    title: Mapped[str] = mapped_column(String(300))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("user_id", "key", name="notice_once"),)
