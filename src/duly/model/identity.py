"""Ids that a client can make without asking the database."""

from __future__ import annotations

import os
import re
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator
from datetime import datetime

_VARIANT = "89ab"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
random_bits: Callable[[int], int] = secrets.randbits
"""Where ids take their random part from; a simulation puts a seeded source in its place."""

TOGETHER = 16
TAIL = (1 << 62) - 1
DAY = 86_400_000 << 12
"""A day in the steps by which ids rise: 4,096 a millisecond."""


def new_id() -> str:
    """A random id (UUID version 4) as text."""
    text = f"{random_bits(128):032x}"
    variant = _VARIANT[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


class RunIds:
    """Makes time-ordered ids (UUID version 7, RFC 9562) that always rise.

    Also within one millisecond and when the clock steps back: the 12 bits after the milliseconds
    count on from the last id (RFC 9562, section 6.2, method 1). A step back of more than a day is
    no correction, and starts afresh.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        _all.add(self)

    def make(self, moment: datetime) -> str:
        """The next id, as text."""
        return self.several(moment, 1)[0]

    def several(self, moment: datetime, count: int) -> list[str]:
        """The next ids, as text: faster than one by one."""
        wanted = _millisecond(moment) << 12
        with self._lock:
            late = wanted < self._last - DAY
            first = wanted if late else max(wanted, self._last + 1)
            self._last = first + count - 1
        return list(map(_version_7, range(first, first + count), _tails(count)))

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()


_all: weakref.WeakSet[RunIds] = weakref.WeakSet()
_by_clock: weakref.WeakKeyDictionary[object, RunIds] = weakref.WeakKeyDictionary()


def run_ids(clock: object) -> RunIds:
    """The ids of everybody in this process who lives by this clock."""
    try:
        return _by_clock.setdefault(clock, RunIds())
    except TypeError:  # a clock of the host's that cannot be remembered
        return RunIds()


def _tails(count: int) -> Iterator[int]:
    """Random numbers of 62 bits: asking the system for each takes longer than all the rest."""
    while count > 0:
        bits = random_bits(64 * min(count, TOGETHER))
        for _ in range(min(count, TOGETHER)):
            yield bits & TAIL
            bits >>= 64
        count -= TOGETHER


def _version_7(stamp: int, tail: int) -> str:
    """An id of its rising part, 60 bits, and its random part, 62 bits."""
    front, back = f"{stamp:015x}", f"{tail | 2 << 62:016x}"
    return f"{front[:8]}-{front[8:12]}-7{front[12:]}-{back[:4]}-{back[4:]}"


def is_id(text: object) -> bool:
    """Whether this is an id as `new_id` and `RunIds` write it; anything else names nothing."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def floor_id(moment: datetime) -> str:
    """The smallest id that `RunIds` could have made at ``moment``: for "since" filters."""
    text = f"{_millisecond(moment):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"


def _millisecond(moment: datetime) -> int:
    """Since 1970; before it there is nothing that an id could say."""
    return max(0, int(moment.timestamp() * 1000))


def _after_fork() -> None:
    for ids in list(_all):
        ids.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
