"""Matching: everybody gives to one person and receives from one, never from themselves."""

from __future__ import annotations

import random
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
        if not _place(giver, choices, giver_of, set()):
            raise NoMatch("The exclusions leave no way to match everybody; remove one.")
    return {giver: receiver for receiver, giver in giver_of.items()}


def _place(
    giver: int, choices: Mapping[int, Sequence[int]], giver_of: dict[int, int], seen: set[int]
) -> bool:
    """Give somebody a receiver, moving others to another one if need be (Kuhn's algorithm)."""
    for receiver in choices[giver]:
        if receiver in seen:
            continue
        seen.add(receiver)
        if receiver not in giver_of or _place(giver_of[receiver], choices, giver_of, seen):
            giver_of[receiver] = giver
            return True
    return False
