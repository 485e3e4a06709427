"""Time zones by IANA name."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tzdata  # type: ignore[import-untyped]

from duly.errors import TriggerError, did_you_mean

_NAME = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,3}", re.ASCII)


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """Return the zone with an IANA name. Results are cached.

    Raises:
        TriggerError: the zone is unknown.
    """
    if _NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise TriggerError(f"unknown time zone {str(name)[:60]!r}{_suggestion(str(name))}")


def zone_name(tz: str | tzinfo | None) -> str | None:
    """Return the IANA name of a ``tz=`` argument; ``None`` stays ``None``.

    Args:
        tz: an IANA name, or an object that has one: a `ZoneInfo`, ``timezone.utc``, or a zone of
            pytz, dateutil or pendulum; or ``None``.

    Raises:
        TriggerError: the zone is unknown, or the tzinfo has no IANA name.
    """
    if tz is None:
        return None
    name = tz if isinstance(tz, str) else _name_of(tz)
    if not name:
        raise TriggerError(
            f"tz must be an IANA zone name such as 'Europe/Madrid', not {tz!r}; a fixed offset is "
            "not a zone, because it does not follow clock changes: 'Etc/GMT-2' is always UTC+2"
        )
    load_zone(name)
    return str(name)


def _name_of(tz: object) -> str | None:
    """Return the IANA name that an object of a library for time zones has, if it has one."""
    if not isinstance(tz, tzinfo):
        return None
    for attribute in ("key", "zone", "name"):  # zoneinfo, pytz, pendulum
        name = getattr(tz, attribute, None)
        if isinstance(name, str) and name:
            return name
    file = getattr(tz, "_filename", None)  # dateutil
    if isinstance(file, str):
        return file.rpartition("zoneinfo/")[2]
    is_utc = tz == UTC or type(tz).__name__ in ("tzutc", "UTC")
    return "UTC" if is_utc else None


def _suggestion(name: str) -> str:
    """Return the hint of an error message: the nearest zone that the package tzdata lists.

    The zone files of the system are not searched, because that takes too long.
    """
    try:
        known = Path(tzdata.__file__).with_name("zones").read_text("utf-8").split()
    except OSError:
        known = []
    wanted = name[:60].replace(" ", "_").lower()
    same = [zone for zone in known if wanted in (zone.lower(), zone.lower().rpartition("/")[2])]
    if same:
        return f"; did you mean {same[0]!r}?"
    near = [zone for zone in known if zone[:1].lower() == wanted[:1]]
    tail = did_you_mean(name[:60], near)
    return tail if "did you mean" in tail else "; use an IANA name such as 'Europe/Madrid'"
