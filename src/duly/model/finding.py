"""The result of one check by ``scheduler.examine()``, ``scheduler.health()`` or ``duly doctor``."""

from __future__ import annotations

from typing import Literal

from duly.model.record import Record, record

Level = Literal["ok", "warning", "problem"]


@record
class Finding(Record):
    """The result of one check.

    Attributes:
        check: the name of the check: ``clock``, ``time zones``, ``indexes``, …
        level: ``ok``; ``warning``: it works, but deserves attention; ``problem``: something does
            not work, or a promise of Duly may be broken.
        text: what was found, in a sentence.
        advice: what to do about it; ``None`` if there is nothing to do.
    """

    check: str
    level: Level
    text: str
    advice: str | None = None

    def __str__(self) -> str:
        return self.text if self.advice is None else f"{self.text}: {self.advice}"
