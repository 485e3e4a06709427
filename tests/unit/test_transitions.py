"""Transitions as values: the states that they apply to, and the columns that they write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from duly.errors import StateError
from duly.model import transition
from duly.model.policy import RunPolicy
from duly.model.run import LIVE, MOVES, RUN_STATES, RunState
from duly.model.transition import RunSnapshot, Transition

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ERROR = ("ValueError", "bad", None)

# Written down once more, on purpose: a change of the rules must be meant.
APPLIES: list[tuple[Transition, set[str]]] = [
    (transition.succeed("1"), {"running"}),
    (transition.fail(ERROR), {"running"}),
    (transition.retry_at(NOON, ERROR), {"running"}),
    (transition.snooze(NOON), {"running"}),
    (transition.postpone(NOON), {"ready"}),
    (transition.give_back("why"), {"running"}),
    (transition.rescue("why"), {"running"}),
    (transition.discard("why"), {"running", "failed"}),
    (transition.cancel("why"), {"scheduled", "ready", "running"}),
    (transition.miss("why"), {"ready"}),
    (transition.skip("why"), set()),
    (transition.revive(), {"failed", "missed", "skipped"}),
    (transition.revive(waits_for_slot=True), {"missed", "skipped"}),
]


def snapshot(state: RunState) -> RunSnapshot:
    return RunSnapshot(
        "run-1", "job", "work", "default", state, token=4, claim_id="claim", worker_id="worker",
        attempt=2, crashes=1, due_at=NOON, started_at=NOON, unique_key="key", retaken_key="key",
        policy=RunPolicy(),
    )  # fmt: skip


def label(value: object) -> str:
    """An id that is equal in every process, unlike the order of a set."""
    return ",".join(sorted(value)) if isinstance(value, set) else str(value)[:60]


@pytest.mark.parametrize("state", RUN_STATES)
@pytest.mark.parametrize(("change", "states"), APPLIES, ids=label)
def test_a_transition_applies_to_its_states_and_to_no_other(
    change: Transition, states: set[str], state: RunState
) -> None:
    """For every transition and state, the new state is written or StateError is raised."""
    if state in states:
        assert change.columns(snapshot(state), NOON)["state"] == change.to
        assert change.to in MOVES[state]
    else:
        with pytest.raises(StateError, match=f"run run-1 is {state}"):
            change.columns(snapshot(state), NOON)


def test_the_transitions_are_the_moves() -> None:
    """Each move between states has a transition, except two that the store makes in bulk."""
    made = {(state, change.to) for change, states in APPLIES for state in states}
    drawn = {(state, to) for state, targets in MOVES.items() for to in targets}
    assert drawn - made == {("scheduled", "ready"), ("ready", "running")}
    assert made <= drawn


@pytest.mark.parametrize(("change", "states"), APPLIES, ids=label)
def test_the_end_of_a_run_frees_its_key_and_starts_its_time_in_history(
    change: Transition, states: set[str]
) -> None:
    """Every way to end a run writes the same columns."""
    for state in states & LIVE:
        values = change.columns(snapshot(state), NOON)  # type: ignore[arg-type]
        if change.postpones:
            assert values.keys() == {"state", "due_at", "occupied"}
            continue
        ends = change.to not in LIVE
        assert values["finished_at"] == (NOON if ends else None)
        assert values["unique_key"] == (None if ends else "key")
        days = timedelta(days=90 if change.to == "failed" else 30)
        assert values["keep_until"] == (NOON + days if ends else None)


@pytest.mark.parametrize(
    ("release", "token", "worker"),
    [
        (lambda change: change, 4, None),
        (lambda change: change.abandoned(), 5, "worker"),
        (lambda change: change.withdrawn(), 5, None),
        (lambda change: change.crashed("died"), 5, None),
    ],
    ids=["reported", "abandoned", "withdrawn", "crashed"],
)
def test_the_token_rises_unless_the_worker_itself_reports(
    release: Callable[[Transition], Transition], token: int, worker: str | None
) -> None:
    """A function that may still execute can no longer write; an abandoned one keeps its slot."""
    change = release(transition.retry_at(NOON, ERROR))
    values = change.columns(snapshot("running"), NOON)
    assert (values["token"], values["worker_id"]) == (token, worker)
    assert values.get("occupied", False) is (worker is not None)
    assert values.get("crashes", 1) == (2 if change.release == "crashed" else 1)


def test_a_run_that_failed_keeps_its_end_when_it_is_discarded_by_hand() -> None:
    """Only its retention begins again: 30 days, as after a raised `Discard`, and not 90."""
    later = NOON + timedelta(days=60)
    values = transition.discard("why").columns(snapshot("failed"), later)
    keep_until = later + timedelta(days=30)
    assert values == {"state": "discarded", "reason": "why", "keep_until": keep_until}
