"""The business tables. Jobs, runs, retries, mails under way and missed runs are Duly's."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from apps.rate_limits import rate_limit_table
from apps.sneaky_klaus.database import Base

State = Literal["DRAFT", "REGISTRATION_OPEN", "REGISTRATION_CLOSED", "MATCHED", "COMPLETED"]
TokenType = Literal["magic_link"]

RATE_LIMITS = rate_limit_table(Base.metadata)


def _within(table: str, *, primary_key: bool = False) -> Mapped[int]:
    """Return a column that refers to a row, with which this row is deleted."""
    key = ForeignKey(f"{table}.id", ondelete="CASCADE")
    return mapped_column(key, primary_key=primary_key, index=not primary_key)


class Admin(Base):
    """A person who runs exchanges."""

    __tablename__ = "admin"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))


class Exchange(Base):
    """A gift exchange. A completed one always has the time of its completion."""

    __tablename__ = "exchange"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    description: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[State] = mapped_column(String(20), default="DRAFT", index=True)
    exchange_date: Mapped[datetime]
    timezone: Mapped[str] = mapped_column(String(64))
    reminder_days: Mapped[list[int]]
    completed_at: Mapped[datetime | None]
    purge_warning_sent_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    participants: Mapped[list[Participant]] = relationship(
        back_populates="exchange", passive_deletes=True, order_by="Participant.id"
    )

    __table_args__ = (
        CheckConstraint("(state = 'COMPLETED') = (completed_at is not null)", name="completed"),
    )


class Participant(Base):
    """A person in one exchange; one who has withdrawn stays as a row."""

    __tablename__ = "participant"

    id: Mapped[int] = mapped_column(primary_key=True)
    exchange_id: Mapped[int] = _within("exchange")
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str] = mapped_column(String(254))
    gift_ideas: Mapped[str] = mapped_column(Text, default="")
    reminder_enabled: Mapped[bool] = mapped_column(default=True)
    withdrawn_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    exchange: Mapped[Exchange] = relationship(
        back_populates="participants", lazy="joined", innerjoin=True
    )

    __table_args__ = (
        Index(
            "uq_participant_email", "exchange_id", "email", unique=True,
            sqlite_where=text("withdrawn_at is null"),
            postgresql_where=text("withdrawn_at is null"),
        ),
    )  # fmt: skip


class Match(Base):
    """Who gives a present to whom."""

    __tablename__ = "match"

    exchange_id: Mapped[int] = _within("exchange", primary_key=True)
    giver_id: Mapped[int] = _within("participant", primary_key=True)
    receiver_id: Mapped[int] = _within("participant")

    __table_args__ = (
        UniqueConstraint("exchange_id", "receiver_id"),
        CheckConstraint("giver_id <> receiver_id", name="other"),
    )


class Exclusion(Base):
    """Two participants who must not be matched with each other; the smaller id comes first."""

    __tablename__ = "exclusion"

    exchange_id: Mapped[int] = _within("exchange", primary_key=True)
    participant_a: Mapped[int] = _within("participant", primary_key=True)
    participant_b: Mapped[int] = _within("participant", primary_key=True)

    __table_args__ = (CheckConstraint("participant_a < participant_b", name="ordered"),)


class MagicToken(Base):
    """A token that signs a participant in, once; only its hash is stored."""

    __tablename__ = "magic_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    token_type: Mapped[TokenType] = mapped_column(String(20), default="magic_link")
    participant_id: Mapped[int] = _within("participant")
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None] = mapped_column(index=True)
    created_at: Mapped[datetime]


class ReminderDelivery(Base):
    """A reminder that a participant has been sent, so that no repetition sends it again."""

    __tablename__ = "reminder_delivery"

    exchange_id: Mapped[int] = _within("exchange", primary_key=True)
    days_before: Mapped[int] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    participant_id: Mapped[int] = _within("participant", primary_key=True)
    sent_at: Mapped[datetime]


class BrowserSession(Base):
    """What a browser's cookie stands for; only the hash of the cookie is stored."""

    __tablename__ = "session"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    data: Mapped[str] = mapped_column(Text)
    admin_id: Mapped[int | None] = mapped_column(ForeignKey("admin.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Webhook(Base):
    """A URL that is sent the events that an admin has chosen."""

    __tablename__ = "webhook"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(String(2000))
    secret: Mapped[str] = mapped_column(String(200))
    events: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
