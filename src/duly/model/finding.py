"""What an examination of the scheduler and its database has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at: ``clock``, ``time zones``, ``indexes``, …
        level: ``ok``; ``warning``: it works, but somebody should know; ``problem``: something does
            not work, or a promise may be broken.
        text: what was found, in words.
        advice: what to do; ``None``: nothing.
    """

    check: str
    level: Level
    text: str
    advice: str | None = None
