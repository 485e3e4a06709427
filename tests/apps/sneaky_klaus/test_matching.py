"""Matching: everybody gives once and receives once, whatever the exclusions allow."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.sneaky_klaus.matching import NoMatch, match
from apps.sneaky_klaus.models import Exclusion
from tests.apps.sneaky_klaus.world import World

PEOPLE = st.integers(3, 6).map(lambda number: list(range(1, number + 1)))


@given(st.data())
def test_a_match_is_found_exactly_when_there_is_one(data: st.DataObject) -> None:
    """Compared with all permutations of up to six people."""
    people = data.draw(PEOPLE)
    pairs = list(combinations(people, 2))
    excluded = data.draw(st.sets(st.sampled_from(pairs)))
    forbidden = {*excluded, *((b, a) for a, b in excluded), *((each, each) for each in people)}
    possible = {
        order
        for order in permutations(people)
        if not forbidden & set(zip(people, order, strict=True))
    }
    if not possible:
        with pytest.raises(NoMatch, match="exclusions"):
            match(people, excluded)
        return
    found = match(people, excluded)
    assert tuple(found[giver] for giver in people) in possible


@given(st.integers(3, 60), st.data())
def test_everybody_gives_and_receives_once(number: int, data: st.DataObject) -> None:
    """Never oneself, and never across an exclusion."""
    people = list(range(number))
    person = st.sampled_from(people)
    excluded = data.draw(st.sets(st.tuples(person, person), max_size=number // 2))
    try:
        found = match(people, excluded)
    except NoMatch:
        assert excluded
        return
    assert sorted(found) == sorted(found.values()) == people
    for giver, receiver in found.items():
        assert giver != receiver
        assert not {(giver, receiver), (receiver, giver)} & excluded


def test_each_possible_match_comes_up() -> None:
    """Four people have nine matches, and chance chooses among all of them."""
    seen = {tuple(sorted(match([1, 2, 3, 4], []).items())) for _ in range(500)}
    assert len(seen) == 9


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fewer_than_three_people_cannot_be_matched(number: int) -> None:
    with pytest.raises(NoMatch, match="At least 3"):
        match(range(number), [])


def test_many_people_are_matched() -> None:
    """A path along all of them, too, which a search by recursion could not follow."""
    number = 1_050
    chain = list(range(number))
    excluded = [(a, b) for a, b in combinations(range(60), 2) if (b - a) % 60 not in (1, 59)]
    assert len(match(chain, excluded)) == number


def test_the_match_of_an_exchange_honours_its_exclusions(world: World) -> None:
    exchange = world.exchange("2026-12-01T18:00", people=4)
    a, b, c, d = (person.id for person in world.participants(exchange))
    rows = [Exclusion(exchange_id=exchange, participant_a=a, participant_b=b)]
    rows += [Exclusion(exchange_id=exchange, participant_a=c, participant_b=d)]
    world.add_all(*rows)
    world.match(exchange)
    for giver, receiver in world.receivers(exchange).items():
        assert {giver, receiver} not in ({a, b}, {c, d})
    assert len(world.mails()) == 4
