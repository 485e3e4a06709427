"""Bounds of triggers that contain others: their depth, their number, the work of a search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from duly.errors import TriggerError

MAX_DEPTH = 20
MAX_SIZE = 1_000
SEARCH_STEPS = 10_000
"""The number of times that a search may ask the parts of ``all_of`` for their next fire."""

_left: ContextVar[list[int] | None] = ContextVar("duly_search_steps", default=None)


def check_bounds(kind: str, depths: Iterable[int], sizes: Iterable[int]) -> tuple[int, int]:
    """Return the depth and the size of a trigger that contains others.

    Args:
        kind: the kind of trigger, for the message.
        depths: the depth of each part.
        sizes: the number of triggers in each part.

    Raises:
        TriggerError: it is nested too deep, or contains too many triggers.
    """
    depth, size = 1 + max(depths, default=0), 1 + sum(sizes)
    if depth > MAX_DEPTH:
        raise TriggerError(
            f"{kind} is nested more than {MAX_DEPTH} deep; give any_of() and all_of() all their "
            "triggers at once, and excluding() all its calendars"
        )
    if size > MAX_SIZE:
        raise TriggerError(
            f"{kind} contains {size} triggers; {MAX_SIZE} are allowed, so add several jobs instead"
        )
    return depth, size


@contextmanager
def search() -> Iterator[list[int]]:
    """Share one number of steps among all searches that one call of ``next_after`` starts.

    The list in the block holds the number of steps that are left.
    """
    outer = _left.get()
    if outer is not None:
        yield outer
        return
    token = _left.set(steps := [SEARCH_STEPS])
    try:
        yield steps
    finally:
        _left.reset(token)
