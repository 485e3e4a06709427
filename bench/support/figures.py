"""Figures of many measurements."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

Figures = dict[str, float]


def at_share(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies; NaN if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def medians(repeat: int, measure: Callable[[], Figures]) -> Figures:
    """Measure several times, and return the median of each figure."""
    taken = [measure() for _ in range(repeat)]
    names = {name for figures in taken for name in figures}
    return {name: median([each[name] for each in taken if name in each]) for name in names}


def resident_mb() -> float:
    """Return the resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds() -> float:
    """Return the processor time of this process, in seconds."""
    used = os.times()
    return used.user + used.system
