"""The state machine of a run: every pair of states, compared with the table of moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from duly.errors import StateError
from duly.model.run import LIVE, MOVES, RUN_STATES, TERMINAL, RunRecord, RunState, check_move

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RECORD = RunRecord(
    id="r", job_id=None, task="t", args={}, scheduled_for=None, due_at=NOON, cause="enqueue",
    queue="default", priority=0, state="ready", attempt=0, max_attempts=1,
)  # fmt: skip

# Written down once more, on purpose: a change of the table must be meant.
ALLOWED = {
    ("scheduled", "ready"), ("scheduled", "cancelled"),
    ("ready", "running"), ("ready", "scheduled"), ("ready", "cancelled"), ("ready", "missed"),
    ("running", "succeeded"), ("running", "failed"), ("running", "scheduled"),
    ("running", "ready"), ("running", "cancelled"), ("running", "discarded"),
    ("failed", "ready"), ("failed", "discarded"),
    ("missed", "ready"), ("skipped", "ready"), ("missed", "scheduled"), ("skipped", "scheduled"),
}  # fmt: skip


@pytest.mark.parametrize("to", RUN_STATES)
@pytest.mark.parametrize("state", RUN_STATES)
def test_every_pair_of_states(state: str, to: str) -> None:
    """Eighteen moves exist; any other raises an error that names both states and the run."""
    assert (to in MOVES[state]) == ((state, to) in ALLOWED)
    if (state, to) in ALLOWED:
        check_move("run-1", state, to)
    else:
        with pytest.raises(StateError, match=f"run run-1 is {state}; it cannot become {to}"):
            check_move("run-1", state, to)


def test_every_state_can_be_reached_and_left_as_documented() -> None:
    """Live states lead on, the three final states lead nowhere, and none leads to itself."""
    assert set(MOVES) == set(RUN_STATES)
    assert set(RUN_STATES) == LIVE | TERMINAL
    assert set() == LIVE & TERMINAL
    assert {state for state, targets in MOVES.items() if not targets} == {
        "succeeded", "cancelled", "discarded",
    }  # fmt: skip
    assert not [state for state, targets in MOVES.items() if state in targets]
    for state in LIVE:
        assert MOVES[state] & TERMINAL


@pytest.mark.parametrize("state", RUN_STATES)
def test_a_record_knows_whether_it_is_terminal(state: RunState) -> None:
    """A terminal run is changed by a person's command only."""
    assert RECORD.replace(state=state).is_terminal is (state not in LIVE)


def test_the_duration_needs_both_ends() -> None:
    """It is measured from the last start to the end, and is otherwise empty."""
    assert RECORD.duration is None
    assert RECORD.replace(started_at=NOON).duration is None
    done = RECORD.replace(started_at=NOON, finished_at=NOON + timedelta(seconds=3))
    assert done.duration == timedelta(seconds=3)
