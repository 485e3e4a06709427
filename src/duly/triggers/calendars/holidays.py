"""The public holidays of a country, from the optional package ``holidays``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar, Self

from duly.errors import TriggerError
from duly.triggers.calendars.base import DayCalendar, ReadCalendar
from duly.triggers.json_data import check_keys


@dataclass(frozen=True, slots=True)
class Holidays(DayCalendar):
    """The public holidays of a country or of a part of it. Made by `holidays`.

    Attributes:
        country: ISO 3166 code, such as ``"ES"``.
        subdivision: part of the country, as the package names it, such as ``"MD"``.
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
        """What the holiday is called, or ``None`` when that day is none."""
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
        check_keys(cls.kind, data, required=("country",), optional=("subdivision",))
        return cls(data["country"], data.get("subdivision"))


def holidays(country: str, subdivision: str | None = None) -> Holidays:
    """A calendar of public holidays. Needs the package ``holidays``.

    Args:
        country: ISO 3166 code, such as ``"ES"``.
        subdivision: part of the country, such as ``"MD"``; default: what the whole country has.

    Raises:
        TriggerError: the package is missing, or does not know the country or the part.
    """
    return Holidays(country, subdivision)


@lru_cache(maxsize=256)
def _known_table(country: str, subdivision: str | None) -> Any:
    try:
        import holidays as package  # noqa: PLC0415 - an optional package
    except ModuleNotFoundError:
        raise TriggerError(
            "public holidays need the package 'holidays', which is not installed: "
            "pip install holidays"
        ) from None
    try:
        return package.country_holidays(country, subdiv=subdivision)
    except (NotImplementedError, ValueError) as error:
        raise TriggerError(f"holidays({country!r}, {subdivision!r}): {error}") from None


def _table(country: str, subdivision: str | None) -> Any:
    """The package's table, which fills itself year by year."""
    for text in (country, subdivision):
        if text is not None and (type(text) is not str or not 0 < len(text) <= 40):
            raise TriggerError(f"holidays takes a country code such as 'ES', not {text!r}")
    return _known_table(country, subdivision)
