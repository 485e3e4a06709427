"""Column types that mean the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import UUID, BigInteger, DateTime, Dialect, Integer, String
from sqlalchemy.types import TypeDecorator, TypeEngine

from duly.clock import aware_utc
from duly.model.text import replace_unstorable


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant with microseconds; on SQLite text of fixed width, so that it sorts.

    MariaDB's driver does not support time zones, so values are passed without one there.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return text on SQLite, ``timestamptz`` on PostgreSQL, ``DATETIME(6)`` on MariaDB."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(32))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Convert to UTC; a naive datetime is an error."""
        return _WRITE.get(dialect.name, _naive)(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        return _READ.get(dialect.name, _aware)(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return the function itself, without SQLAlchemy's wrappers, which cost more than it."""
        return _WRITE.get(dialect.name, _naive)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return the function itself; see `bind_processor`."""
        return _READ.get(dialect.name, _aware)


def _utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    return aware_utc(value, "an instant to be stored")


def _text(value: datetime | None) -> str | None:
    if value is None:
        return None
    moment = value if value.tzinfo is UTC else aware_utc(value, "an instant to be stored")
    return moment.isoformat(timespec="microseconds")


def _naive(value: datetime | None) -> datetime | None:
    moment = _utc(value)
    return None if moment is None else moment.replace(tzinfo=None)


def _parsed(value: str | None) -> datetime | None:
    return None if value is None else _aware(datetime.fromisoformat(value))


def _aware(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_WRITE = {"sqlite": _text, "postgresql": _utc}
_READ = {"sqlite": _parsed}


Id = String(36).with_variant(UUID(as_uuid=False), "postgresql")
"""A UUID, which is text in Python."""


class StorableText(TypeDecorator[str]):
    """Text from users; characters that a database would refuse are replaced."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL and lone surrogates."""
        return None if value is None else replace_unstorable(value)


Name = StorableText(191)
"""A name chosen by users: a job id, a task's name, a tag."""


def mariadb_collation(is_mariadb: bool) -> str:
    """Return the collation by which MariaDB, or MySQL, compares texts byte by byte."""
    return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"


Serial = BigInteger().with_variant(Integer(), "sqlite")
"""An ascending number that the database assigns."""
