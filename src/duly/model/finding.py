"""The result of one check by ``scheduler.examine()`` or ``duly doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
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
