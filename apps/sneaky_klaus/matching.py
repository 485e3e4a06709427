"""Matching: everybody gives to one person and receives from one, never from themselves."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence

FEWEST = 3


class NoMatch(Exception):
    """The participants cannot be matched."""


def match(people: Sequence[int], exclusions: Collection[tuple[int, int]]) -> dict[int, int]:
    """Return a random receiver for each giver.

    Args:
        people: the ids of the participants.
        exclusions: pairs of ids, either of whom must not give to the other.

    Raises:
        NoMatch: there are fewer than three people, or the exclusions leave no solution.
    """
    if len(people) < FEWEST:
        raise NoMatch(f"At least {FEWEST} participants are needed; there are {len(people)}.")
    forbidden = {*exclusions, *((b, a) for a, b in exclusions)}
    choices = {
        giver: [each for each in people if each != giver and (giver, each) not in forbidden]
        for giver in people
    }
    for possible in choices.values():
        random.shuffle(possible)
    giver_of: dict[int, int] = {}
    for giver in random.sample(people, len(people)):
        if not _place(giver, choices, giver_of):
            raise NoMatch("The exclusions leave no way to match everybody; remove one.")
    return {giver: receiver for receiver, giver in giver_of.items()}


def _place(giver: int, choices: Mapping[int, Sequence[int]], giver_of: dict[int, int]) -> bool:
    """Give somebody a receiver, if need be by moving others to another one.

    It is a breadth-first search for an augmenting path, which exists unless there is no solution.
    """
    came_from: dict[int, int] = {}
    waiting = deque([giver])
    while waiting:
        current = waiting.popleft()
        for receiver in choices[current]:
            if receiver in came_from:
                continue
            came_from[receiver] = current
            if receiver not in giver_of:
                _move_along(receiver, came_from, giver_of)
                return True
            waiting.append(giver_of[receiver])
    return False


def _move_along(free: int, came_from: Mapping[int, int], giver_of: dict[int, int]) -> None:
    """Give each giver on the path to a free receiver the next receiver on it."""
    receiver_of = {giver: receiver for receiver, giver in giver_of.items()}
    receiver: int | None = free
    while receiver is not None:
        giver = giver_of[receiver] = came_from[receiver]
        receiver = receiver_of.get(giver)
