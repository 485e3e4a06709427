"""Turns named cron fields into a cron text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from duly.errors import TriggerError, UnknownOption

_NAMES = ("second", "minute", "hour", "day", "month", "day_of_week")
_ORDER = ("second", "minute", "hour", "day_of_week", "day", "month")
"""From fine to coarse: what is finer than the finest named field starts at its beginning."""

_START = {"second": "0", "minute": "0", "hour": "0"}


def cron_text(fields: Mapping[str, object]) -> str:
    """The cron text that named fields mean.

    Raises:
        UnknownOption: there is no such field.
        TriggerError: no field is named, a value is neither a number nor text, or a weekday is a
            number.
    """
    for name in fields:
        if name not in _NAMES:
            raise UnknownOption(name, _NAMES, "of cron")
    texts = {name: _text(name, value) for name, value in fields.items() if value is not None}
    if not texts:
        raise TriggerError("cron needs a text such as '0 9 * * mon-fri', or named fields")
    finest = min(_ORDER.index(name) for name in texts)
    for index, name in enumerate(_ORDER):
        texts.setdefault(name, _START.get(name, "*") if index < finest else "*")
    if texts["second"] == "0":
        del texts["second"]
    return " ".join(texts[name] for name in _NAMES if name in texts)


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TriggerError(f"cron({name}=…) takes a number or text, not {value!r}")
    text = str(value)
    if name == "day_of_week" and re.match(r"[0-9]|.*[,-][0-9]", text):
        raise TriggerError(
            f"cron(day_of_week={value!r}) could mean two things: crontab counts from Sunday = 0, "
            "APScheduler from Monday = 0; name the days, as in day_of_week='mon-fri'"
        )
    if not text or " " in text or "\t" in text:
        raise TriggerError(f"cron({name}={value!r}) must be one field without spaces")
    return text
