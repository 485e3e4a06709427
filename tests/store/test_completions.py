"""Fencing: a worker's write has an effect only while its claim is valid."""

from __future__ import annotations

from typing import Any

import pytest

from duly.model.identity import new_id
from duly.model.transition import SUCCESS, RunSnapshot, Transition, fail, succeed
from duly.store import completions, history, runs, transitions
from duly.store.completions import Fence
from duly.store.store import Store
from duly.store.transitions import Change
from tests.store.conftest import add_run, all_runs, at_once, claim


def fence(row: Any, **wrong: Any) -> Fence:
    values = {"run": row.id, "seen_token": row.token, "seen_claim": row.claim_id} | wrong
    return Fence(**values)  # type: ignore[typeddict-item]


def change(row: Any, transition: Transition = SUCCESS, **wrong: Any) -> Change:
    """Return what a worker writes about a run that it claimed, perhaps with a stale claim."""
    return Change(RunSnapshot.of(row)._replace(**wrong), transition)


@pytest.fixture
def claimed(store: Store) -> Any:
    """One run, claimed."""
    with store.write() as tx:
        add_run(tx)
        (row,) = claim(tx)
    return row


def test_a_valid_claim_may_write(store: Store, claimed: Any) -> None:
    """State and result are stored; the other columns stay unchanged."""
    with store.write() as tx:
        assert completions.check_fences(tx, [fence(claimed)]) == ({claimed.id}, set(), set())
        transitions.apply(tx, [change(claimed, succeed('{"n":1}'))])
    stored = all_runs(store)[claimed.id]
    assert (stored.state, stored.result) == ("succeeded", '{"n":1}')
    unchanged = {"task", "args", "cause", "token", "claim_id", "priority", "started_at"}
    assert all(getattr(stored, name) == getattr(claimed, name) for name in unchanged)


@pytest.mark.parametrize(
    "wrong",
    [{"token": 0}, {"token": 2}, {"claim_id": new_id()}],
    ids=["old token", "token of a rescuer", "claim of another server"],
)
def test_a_stale_claim_may_not_write(store: Store, claimed: Any, wrong: dict[str, Any]) -> None:
    """`check_fences` rejects it, and a write without that check has no effect either."""
    before = all_runs(store)
    stale = fence(claimed, **{f"seen_{name.removesuffix('_id')}": wrong[name] for name in wrong})
    with store.write() as tx:
        assert completions.check_fences(tx, [stale]) == (set(), {claimed.id}, set())
        transitions.apply(tx, [change(claimed, **wrong)])
        report = {"to_done": 1, "to_total": 2, "to_note": "x", "to_counters": None}
        completions.report_progress(tx.conn, [{**stale, **report}])
    assert all_runs(store) == before


def test_a_run_that_its_claim_has_ended_is_neither_valid_nor_late(
    store: Store, claimed: Any
) -> None:
    """After a lost acknowledgement of the commit, writing again has no effect."""
    with store.write() as tx:
        transitions.apply(tx, [change(claimed)])
    before = all_runs(store)
    with store.write() as tx:
        assert completions.check_fences(tx, [fence(claimed)]) == (set(), set(), set())
        transitions.apply(tx, [change(claimed, fail(("E", "m", None)))])
    assert all_runs(store) == before


def test_a_deleted_run_is_late(store: Store, claimed: Any) -> None:
    """Writing to it has no effect and is not an error."""
    ghost = fence(claimed, run=new_id())
    with store.write() as tx:
        assert completions.check_fences(tx, [ghost]) == (set(), {ghost["run"]}, set())
        transitions.apply(tx, [change(claimed, id=ghost["run"])])


def test_the_claims_of_a_batch_are_checked_one_by_one(store: Store) -> None:
    """The stale ones are left out, and the others are written."""
    with store.write() as tx:
        for _ in range(50):
            add_run(tx)
        rows = claim(tx, limit=50)
        runs.change(tx, [row.id for row in rows[::2]], token=99, state="ready")
    fences = [fence(row) for row in rows]
    with store.write() as tx:
        valid, late, _cancel = completions.check_fences(tx, fences)
        assert valid == {row.id for row in rows[1::2]}
        assert late == {row.id for row in rows[::2]}
        transitions.apply(tx, [change(row) for row in rows])
    stored = all_runs(store)
    assert {stored[row.id].state for row in rows[1::2]} == {"succeeded"}
    assert {stored[row.id].state for row in rows[::2]} == {"ready"}


def test_empty_batches_are_accepted(store: Store) -> None:
    """Every function does nothing without an error."""
    with store.write() as tx:
        assert completions.check_fences(tx, []) == (set(), set(), set())
        transitions.apply(tx, [])
        completions.add_log(tx.conn, [])
        completions.report_progress(tx.conn, [])
        completions.end_occupation(tx.conn, [])


def test_progress_is_stored_for_a_valid_claim(store: Store, claimed: Any) -> None:
    """It is visible while the run is running."""
    report = {"to_done": 3, "to_total": 9, "to_note": "half", "to_counters": '{"ok":3}'}
    with store.write() as tx:
        completions.report_progress(tx.conn, [{**fence(claimed), **report}])
    row = all_runs(store)[claimed.id]
    assert (row.progress_done, row.progress_total, row.progress_note, row.counters) == (
        3, 9, "half", '{"ok":3}',
    )  # fmt: skip
    assert row.state == "running"


def test_a_racing_completion_and_rescue_never_both_win(store: Store) -> None:
    """For every run, exactly one of the two takes effect."""
    with store.write() as tx:
        for _ in range(20):
            add_run(tx)
        rows = claim(tx, limit=20)

    def complete() -> set[str]:
        won = set()
        for row in rows:
            with store.write() as tx:
                valid, _late, _cancel = completions.check_fences(tx, [fence(row)])
                transitions.apply(tx, [change(row) for _ in valid])
            won |= valid
        return won

    def rescue() -> set[str]:
        won = set()
        for row in reversed(rows):
            with store.write() as tx:
                (stored,) = runs.lock(tx, [row.id])
                if stored.state == "running" and stored.token == row.token:
                    runs.change(tx, [row.id], state="ready", token=row.token + 1)
                    won.add(row.id)
        return won

    completed, rescued = at_once(complete, rescue)
    assert completed | rescued == {row.id for row in rows}
    assert completed & rescued == set()
    stored = all_runs(store)
    assert {run_id for run_id, row in stored.items() if row.state == "succeeded"} == completed
    assert {run_id for run_id, row in stored.items() if row.token == 2} == rescued


def test_two_batches_in_opposite_order_do_not_deadlock(store: Store) -> None:
    """Rows are locked in the order of their ids, not in that of the batch."""
    with store.write() as tx:
        for _ in range(40):
            add_run(tx)
        rows = claim(tx, limit=40)

    def check(ordered: list[Any]) -> int:
        total = 0
        for _ in range(15):
            with store.write() as tx:
                total += len(completions.check_fences(tx, [fence(row) for row in ordered])[0])
        return total

    assert at_once(lambda: check(rows), lambda: check(rows[::-1])) == [600, 600]


def test_an_attempt_is_stored_once(store: Store, claimed: Any) -> None:
    """Writing it again after a lost acknowledgement has no effect."""
    with store.write() as tx:
        transitions.apply(tx, [change(claimed, fail(("E", "m", None)))])
        transitions.apply(tx, [change(claimed, fail(("Other", "m", None)))])
    with store.read() as conn:
        (attempt,) = history.attempts(conn, claimed.id)
    assert attempt.error_type == "E"
