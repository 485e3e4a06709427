"""What each process does: a file for each, a line for each entry, on a clock no fault moves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def steady() -> float:
    """Return seconds on a clock that all processes of this machine share and no fault moves."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        at: when it was written, on the steady clock.
        pid: the process that wrote it.
        what: ``start`` or ``end`` of a function, ``commit`` of an event, ``left`` after an orderly
            stop, or ``broken`` if the harness itself failed.
        run: the id of the run, if there is one.
        token: the token of the claim under which the function runs.
        detail: the kind of the event, or the traceback.
    """

    at: float
    pid: int
    what: str
    run: str = ""
    token: int = 0
    detail: Any = None


class Journal:
    """A process's own file; the kernel has each entry before `note` returns.

    Args:
        path: the file; new entries are appended.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, what: str, run: str = "", token: int = 0, detail: Any = None) -> None:
        """Write an entry."""
        entry = [steady(), os.getpid(), what, run, token, detail]
        os.write(self._file, (json.dumps(entry) + "\n").encode())


def read(folder: Path) -> list[Entry]:
    """Return the entries of all processes in chronological order."""
    return sorted(_entries(folder), key=lambda entry: entry.at)


def _entries(folder: Path) -> Iterator[Entry]:
    for path in folder.glob("*.journal"):
        for text in path.read_text().splitlines():
            yield Entry(*json.loads(text))
