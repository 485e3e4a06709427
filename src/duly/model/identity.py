"""Ids that a client can generate without asking the database."""

from __future__ import annotations

import os
import re
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

_VARIANT = "89ab"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
random_bits: Callable[[int], int] = secrets.randbits
"""The source of the random part of ids; a simulation replaces it with a seeded one."""

TOGETHER = 16
TAIL = (1 << 62) - 1
DAY = 86_400_000 << 12
"""A day in units of the counter inside an id, which has 4,096 steps a millisecond."""


def new_id() -> str:
    """Return a random id (UUID version 4) as text."""
    text = f"{random_bits(128):032x}"
    variant = _VARIANT[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


class RunIds:
    """Generates time-ordered ids (UUID version 7, RFC 9562), each greater than the one before.

    They increase even within one millisecond and when the clock steps back, because the 12 bits
    after the milliseconds continue to count from the last id (RFC 9562, section 6.2, method 1).
    When the clock steps back by more than a day, ids start again from the new time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        _all.add(self)

    def make(self, moment: datetime) -> str:
        """Return the next id as text."""
        return self.make_many(moment, 1)[0]

    def make_many(self, moment: datetime, count: int) -> list[str]:
        """Return the next ``count`` ids as text; this is faster than generating them one by one."""
        wanted = _millisecond(moment) << 12
        with self._lock:
            late = wanted < self._last - DAY
            first = wanted if late else max(wanted, self._last + 1)
            self._last = first + count - 1
        return list(map(_version_7, range(first, first + count), _tails(count)))

    def after_fork(self) -> None:
        """Replace the lock in a forked child: a thread of the parent may have held it."""
        self._lock = threading.Lock()


_all: weakref.WeakSet[RunIds] = weakref.WeakSet()
_by_clock: weakref.WeakKeyDictionary[object, RunIds] = weakref.WeakKeyDictionary()


def run_ids(clock: object) -> RunIds:
    """Return the id generator that all schedulers in this process with this clock share."""
    try:
        return _by_clock.setdefault(clock, RunIds())
    except TypeError:  # the host's own clock class does not support weak references
        return RunIds()


def _tails(count: int) -> Iterator[int]:
    """Yield random numbers of 62 bits, drawn in batches to save system calls."""
    while count > 0:
        bits = random_bits(64 * min(count, TOGETHER))
        for _ in range(min(count, TOGETHER)):
            yield bits & TAIL
            bits >>= 64
        count -= TOGETHER


def _version_7(stamp: int, tail: int) -> str:
    """Return an id made of its increasing part (60 bits) and its random part (62 bits)."""
    front, back = f"{stamp:015x}", f"{tail | 2 << 62:016x}"
    return f"{front[:8]}-{front[8:12]}-7{front[12:]}-{back[:4]}-{back[4:]}"


def is_id(text: object) -> bool:
    """Return whether this is an id in the form that `new_id` and `RunIds` generate."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def floor_id(moment: datetime) -> str:
    """Return the smallest id that `RunIds` could generate at ``moment``, for "since" filters."""
    text = f"{_millisecond(moment):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"


def created_at(run_id: str) -> datetime:
    """Return when `RunIds` generated an id, to the millisecond."""
    return datetime.fromtimestamp(int(run_id[:8] + run_id[9:13], 16) / 1000, UTC)


def _millisecond(moment: datetime) -> int:
    """Return the milliseconds since 1970; ids cannot express earlier times."""
    return max(0, int(moment.timestamp() * 1000))


def _after_fork() -> None:
    for ids in list(_all):
        ids.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
