"""The state machine as it is drawn, and as it is."""

from __future__ import annotations

import re

from duly.model.run import LIVE, MOVES, RUN_STATES
from tests.support.sources import ROOT

PAGE = (ROOT / "docs" / "state_machine.md").read_text()


def test_the_page_shows_every_move_and_no_other() -> None:
    """docs/state_machine.md lists exactly the moves that the code allows."""
    drawn = re.findall(r"^\| `(\w+)` \| `(\w+)` \| \S", PAGE, re.MULTILINE)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(state, to) for state, targets in MOVES.items() for to in targets}


def test_the_page_explains_every_state() -> None:
    """Each state has its line, which says whether it ends the run."""
    states = dict(re.findall(r"^\| `(\w+)` \| [^`|]+ \| (yes)? ?\|$", PAGE, re.MULTILINE))
    assert set(states) == set(RUN_STATES)
    assert {state for state, ends in states.items() if not ends} == LIVE
