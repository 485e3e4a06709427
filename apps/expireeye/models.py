"""The business tables. Runs, leases and history are Duly's, in the same database."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar, Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from apps.columns import Instant
from apps.rate_limits import rate_limit_table

ItemStatus = Literal["active", "expired"]
Role = Literal["member", "operator"]


class Base(DeclarativeBase):
    """Declarative base of the application's tables."""

    type_annotation_map: ClassVar = {datetime: Instant}


RATE_LIMITS = rate_limit_table(Base.metadata)


def _new_id() -> str:
    return str(uuid.uuid4())


class User(Base):
    """A person with an account."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[Role] = mapped_column(String(10), default="member")
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("role in ('member', 'operator')", name="user_role"),)


class SignIn(Base):
    """A sign-in of a user through the API or the pages; deleting it ends it everywhere."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class SocketTicket(Base):
    """A ticket for one socket; using it deletes it."""

    __tablename__ = "socket_tickets"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    sign_in_id: Mapped[str] = mapped_column(String(40), index=True)
    user_id: Mapped[int] = mapped_column(index=True)
    expires_at: Mapped[datetime]


class Product(Base):
    """An entry of the catalogue that all users share."""

    __tablename__ = "products"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    name: Mapped[str] = mapped_column(String(200), index=True)
    category: Mapped[str | None] = mapped_column(String(100))
    barcode: Mapped[str | None] = mapped_column(String(64), unique=True)


class UserProduct(Base):
    """One item that a user owns.

    ``product_id`` is not a foreign key, so that an item and its notification outlive their product.
    ``failures`` and ``parked_until`` keep an item that cannot be processed from being retried every
    ten seconds.
    """

    __tablename__ = "user_products"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    product_id: Mapped[str] = mapped_column(String(36))
    expiry_date: Mapped[datetime]
    expiry_is_date_only: Mapped[bool] = mapped_column(default=False)
    status: Mapped[ItemStatus] = mapped_column(String(10), default="active")
    quantity: Mapped[int] = mapped_column(default=1)
    note: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    expired_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    parked_until: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("status in ('active', 'expired')", name="user_product_status"),
        CheckConstraint("quantity >= 1", name="user_product_quantity"),
        Index("ix_user_products_due", "status", "expiry_date", "id"),
    )


class Notification(Base):
    """A stored notification; its ``type`` is ``warning`` here, ``product_expiration`` on the wire.

    ``user_product_id`` is not a foreign key, because the notification outlives its item.
    """

    __tablename__ = "notifications"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    product_name: Mapped[str] = mapped_column(String(255))
    message: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(String(20), default="warning")
    user_product_id: Mapped[str] = mapped_column(String(36))
    expiry_date: Mapped[datetime]
    dedupe_key: Mapped[str] = mapped_column(String(120), unique=True)
    read: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    first_pushed_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_notifications_of_user", "user_id", "id"),)
