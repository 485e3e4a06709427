"""Engine rule 6: one bad row must not fail a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from duly import Run
from duly.errors import DatabaseUnavailable
from duly.model.transition import Transition
from duly.worker import completion, outcome
from tests.worker.conftest import World
from tests.worker.internals import RESULT_STATEMENT, unwritten


@pytest.mark.parametrize("bad", ["nul\x00", "\ud800", float("nan"), "x" * 70_000, {1, 2}, object()])
def test_rule_06_odd_results_are_stored_or_replaced(world: World, bad: Any) -> None:
    """A result that cannot be stored as it is does not fail its run."""
    scheduler = world.scheduler()
    scheduler.task(name="odd")(lambda: bad)
    run_id = scheduler.enqueue("odd")
    scheduler.tick()
    assert scheduler.run(run_id).state == "succeeded"


def test_rule_06_a_refused_value_fails_its_own_run_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the database refuses a value, the batch is bisected until the bad row is alone."""

    def decide_outcome(*arguments: Any) -> Transition:
        held = outcome.decide_outcome(*arguments)
        return replace(held, result="\ud800") if held.result == "13" else held

    monkeypatch.setattr(completion, "decide_outcome", decide_outcome)
    scheduler = world.scheduler()

    @scheduler.task()
    def work(n: int, run: Run) -> int:
        run.count(seen=n)
        return n

    ids = [scheduler.enqueue(work, n=n) for n in range(40)]
    scheduler.tick()
    states = [scheduler.run(run_id).state for run_id in ids]
    assert states == ["succeeded"] * 13 + ["failed"] + ["succeeded"] * 26
    assert scheduler.run(ids[13]).error_type in ("DataRefused", "UnicodeEncodeError")


@pytest.mark.parametrize(
    ("value", "place"),
    [(None, "duly.store.transitions.succeed_all"), (1, RESULT_STATEMENT)],
)
def test_rule_06_an_unavailable_database_fails_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch, value: int | None, place: str
) -> None:
    """Nothing is bisected or lost: the outcomes wait."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: value)
    scheduler.tick()
    run_id = scheduler.enqueue("work")

    def away(*_arguments: Any, **_options: Any) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(place, away)
    with pytest.raises(DatabaseUnavailable):
        scheduler.tick()
    assert unwritten(scheduler) == 1
    monkeypatch.undo()
    scheduler.tick()
    assert scheduler.run(run_id).state == "succeeded"
