"""What becomes of nominal times that nobody could fire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from duly.model.checks import TIME, Check, check_fields, choice, optional, whole

CatchUpMode = Literal["latest", "all", "none"]

_CATCH_UP: Mapping[str, Check] = {
    "mode": choice("latest", "all", "none"),
    "limit": whole(1, 10_000),
    "max_age": optional(TIME),
}


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What becomes of nominal times that passed while nobody could fire them.

    Attributes:
        mode: ``latest`` runs the newest and records the others as missed; ``all`` runs each, oldest
            first; ``none`` runs only what is still on time.
        limit: at most so many runs with ``all``; older times are recorded as missed.
        max_age: seconds; what is older is recorded as missed. ``None``: any age.

    Raises:
        ConfigurationError: an unknown mode or a number out of range.
    """

    mode: CatchUpMode = "latest"
    limit: int = 100
    max_age: float | None = None

    def __post_init__(self) -> None:
        check_fields(self, _CATCH_UP, "CatchUp({}=…)")
