"""The calendar of a country's public holidays, from the optional package ``holidays``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar, Self

from duly.errors import TriggerError
from duly.misuse import explained
from duly.triggers.calendars.base import DayCalendar, ReadCalendar
from duly.triggers.json_data import check_keys


@dataclass(frozen=True, slots=True)
class Holidays(DayCalendar):
    """The public holidays of a country or one of its subdivisions. Created by `holidays`.

    Attributes:
        country: the ISO 3166 code, such as ``"ES"``.
        subdivision: the subdivision, as the package names it, such as ``"MD"``; ``None`` for the
            holidays of the whole country.
    """

    kind: ClassVar[str] = "holidays"

    country: str
    subdivision: str | None = None

    def __post_init__(self) -> None:
        _table(self.country, self.subdivision)

    def covers(self, day: date) -> bool:
        """See `DayCalendar.covers`."""
        return day in _table(self.country, self.subdivision)

    def rest_days(self) -> frozenset[int]:
        """See `Calendar.rest_days`."""
        return frozenset(_table(self.country, self.subdivision).weekend)

    def name_of(self, day: date) -> str | None:
        """Return the name of the holiday on a day, or ``None``."""
        name: str | None = _table(self.country, self.subdivision).get(day)
        return name

    def describe(self) -> str:
        """See `Calendar.describe`."""
        return f"public holidays of {'-'.join(filter(None, (self.country, self.subdivision)))}"

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        data = {"kind": self.kind, "country": self.country}
        return data if self.subdivision is None else {**data, "subdivision": self.subdivision}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(
            cls.kind, data, noun="calendar", required=("country",), optional=("subdivision",)
        )
        return cls(data["country"], data.get("subdivision"))


@explained("write holidays('ES'), or holidays('ES', 'MD')")
def holidays(country: str, subdivision: str | None = None) -> Holidays:
    """Create a calendar that excludes public holidays. Requires the package ``holidays``.

    Args:
        country: the ISO 3166 code, such as ``"ES"``.
        subdivision: a subdivision of the country, such as ``"MD"``; default: the holidays of the
            whole country.

    Raises:
        TriggerError: the package is not installed, or does not support the country or subdivision.
    """
    return Holidays(country, subdivision)


@lru_cache(maxsize=256)
def _cached_table(country: str, subdivision: str | None) -> Any:
    try:
        import holidays as package  # noqa: PLC0415 - an optional package
    except ModuleNotFoundError:
        raise TriggerError(
            "holidays() requires the package 'holidays', which is not installed; "
            "run: pip install holidays"
        ) from None
    try:
        return package.country_holidays(country, subdiv=subdivision)
    except (NotImplementedError, ValueError) as error:
        code = "-".join(filter(None, (country, subdivision)))
        raise TriggerError(f"no public holidays are known for {code!r}: {error}") from None


def _table(country: str, subdivision: str | None) -> Any:
    """Return the package's table, which it fills year by year on demand."""
    for text in (country, subdivision):
        if text is not None and (type(text) is not str or not 0 < len(text) <= 40):
            raise TriggerError(f"holidays() takes codes such as 'ES', not {str(text)[:60]!r}")
    return _cached_table(country, subdivision)
