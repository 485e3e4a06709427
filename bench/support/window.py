"""A period in which fires are counted and their lateness is measured."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from bench.support.figures import Figures, at_share, cpu_seconds
from bench.support.ledger import Ledger


class Window:
    """Counts the notes within the block; each note is a lateness in seconds."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.figures: Figures = {}

    def __enter__(self) -> Self:
        self._ledger.clear()
        self._began, self._cpu = time.monotonic(), cpu_seconds()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        taken, used = time.monotonic() - self._began, cpu_seconds() - self._cpu
        self._ledger.gather()
        late = [value * 1000 for value, _at in self._ledger.notes]
        self.figures = {
            "rate": len(late) / taken,
            "p50": at_share(late, 0.5),
            "p99": at_share(late, 0.99),
            "cpu": used / taken,
        }
