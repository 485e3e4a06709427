"""The notes of measured functions: a number and the time, written without a system call."""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from bench.support.figures import Figures, at_share

ENTRY = struct.Struct("<dd")
ENTRIES = 4_000_000
VARIABLE = "DULY_BENCH_LEDGER"
BLOCK = 4096 * ENTRY.size
POLL = 0.02
FIRST, PATIENCE = 3, 60.0


class Pen:
    """Writes this process's notes; safe in threads, and after a fork each process has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open()
        os.register_at_fork(after_in_child=self._open)

    def _open(self) -> None:
        with (self._folder / str(os.getpid())).open("a+b") as file:
            file.truncate(ENTRIES * ENTRY.size)  # sparse: only what is written takes space
            self._page = mmap.mmap(file.fileno(), ENTRIES * ENTRY.size)
        self._next = itertools.count(0, ENTRY.size).__next__

    def note(self, value: float = 0.0) -> None:
        """Note a number with the current time."""
        ENTRY.pack_into(self._page, self._next(), value, time.time())


class Ledger:
    """Reads the notes of all processes while they are written.

    Attributes:
        notes: (number, time of the note) as far as `gather` has read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self.notes: list[tuple[float, float]] = []

    def gather(self) -> int:
        """Read new notes, and return the number of all notes."""
        for path in self._folder.iterdir():
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                while new := list(takewhile(_is_written, ENTRY.iter_unpack(file.read(BLOCK)))):
                    self.notes += new
                    self._read[path] = self._read.get(path, 0) + ENTRY.size * len(new)
                    file.seek(self._read[path])
        return len(self.notes)

    def wait(self, count: int, seconds: float, alive: Callable[[], bool] = lambda: True) -> bool:
        """Wait until there are ``count`` notes; return whether that happened in time."""
        until = time.monotonic() + seconds
        while self.gather() < count:
            if time.monotonic() > until or not alive():
                return False
            time.sleep(POLL)
        return True

    def clear(self) -> None:
        """Forget all notes so far."""
        self.gather()
        self.notes.clear()

    def send(self, call: Callable[[], object], count: int, pause: float) -> None:
        """Call again and again, and wait for all notes; the first three only wake everybody up.

        Args:
            call: each leads to one note.
            count: how often.
            pause: seconds between two calls.
        """
        for n in range(FIRST + count):
            call()
            if n < FIRST:
                self.wait(n + 1, PATIENCE)
            time.sleep(pause)
        self.wait(FIRST + count, PATIENCE)
        del self.notes[:FIRST]

    def latencies(self) -> Figures:
        """Return the latencies in milliseconds; each note is one in seconds."""
        late = [value * 1000 for value, _at in self.notes]
        return {"p50": at_share(late, 0.5), "p99": at_share(late, 0.99), "done": len(late)}

    def shared(self) -> Figures:
        """Return what several workers did together; each note is the number of a run."""
        different = len({value for value, _at in self.notes})
        done = len(self.notes)
        return {"rate": self.per_second(), "done": different, "duplicates": done - different}

    def per_second(self) -> float:
        """Return the number of notes per second from the first to the last one."""
        times = sorted(at for _value, at in self.notes)
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0


def _is_written(entry: tuple[Any, ...]) -> bool:
    return bool(entry[1])


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    """Open a new ledger for this process and for those that it starts."""
    with tempfile.TemporaryDirectory(prefix="duly-bench-") as folder:
        os.environ[VARIABLE] = folder
        yield Ledger(Path(folder))


@cache
def pen() -> Pen:
    """Return the pen of this process, for the ledger that was open when it was first asked for."""
    return Pen(Path(os.environ[VARIABLE]))
