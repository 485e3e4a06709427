"""A simulation's client must not expect more than the answers to its calls imply."""

from __future__ import annotations

from functools import partial

from simulation.expectations import Expectations, JobState


def test_a_pending_change_may_still_be_made() -> None:
    """While one process is paused inside an edit, another process's edit is acknowledged."""
    expectations = Expectations({"j": {JobState(True, False, 0)}})
    with expectations.requesting("j", partial(JobState.after_edit, n=1)):
        with expectations.requesting("j", partial(JobState.after_edit, n=2)) as second:
            expectations.acknowledge(second)
        assert {state.n for state in expectations.states("j")} == {1, 2}
    with expectations.requesting("j", partial(JobState.after_edit, n=3)) as third:
        expectations.acknowledge(third)
    assert {state.n for state in expectations.states("j")} == {3}


def test_an_acknowledged_change_is_certain_when_no_other_is_pending() -> None:
    """The answer leaves one possible state."""
    expectations = Expectations({"j": {JobState(True, False, 0)}})
    with expectations.requesting("j", partial(JobState.after_pause, paused=True)) as request:
        assert len(expectations.states("j")) == 2
        expectations.acknowledge(request)
    assert expectations.states("j") == {JobState(True, True, 0)}
