"""What processes say about themselves: one file each, a line per fact, on a clock nobody moves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def steady() -> float:
    """Seconds on a clock that all processes of this machine share and no fault moves."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Line:
    """One fact.

    Attributes:
        at: when, on the steady clock.
        pid: of the process that says so.
        what: ``start`` and ``end`` of a function, ``commit`` of an event, ``broken`` harness.
        run: the run that it is about.
        token: of the claim under which the function runs.
        detail: anything more.
    """

    at: float
    pid: int
    what: str
    run: str = ""
    token: int = 0
    detail: Any = None


class Journal:
    """A process's own file; each line is in the kernel's hands before the call returns.

    Args:
        path: the file; it may exist.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, what: str, run: str = "", token: int = 0, detail: Any = None) -> None:
        """Write a line."""
        fact = [steady(), os.getpid(), what, run, token, detail]
        os.write(self._file, (json.dumps(fact) + "\n").encode())


def read(folder: Path) -> list[Line]:
    """All lines of all processes, in order."""
    return sorted(_lines(folder), key=lambda line: line.at)


def _lines(folder: Path) -> Iterator[Line]:
    for path in folder.glob("*.journal"):
        for text in path.read_text().splitlines():
            yield Line(*json.loads(text))
