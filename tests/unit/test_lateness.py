"""The histogram of lateness."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from duly.model.lateness import BOUNDS, NEVER, bucket_of, quantile

DUE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "bound"), [(-3, 0.01), (0, 0.01), (0.011, 0.025), (4.9, 5.0), (59, 60), (1e5, 6e5)]
)
def test_a_run_is_at_most_as_late_as_its_bucket_says(seconds: float, bound: float) -> None:
    """A run that started early, by a clock that is ahead, is not late."""
    bucket = bucket_of(DUE, DUE + timedelta(seconds=seconds))
    assert BOUNDS[bucket] == pytest.approx(bound, rel=0.01)


def test_a_run_that_never_started_has_no_lateness() -> None:
    """It does not make the others look punctual."""
    assert bucket_of(DUE, None) == NEVER
    assert quantile({NEVER: 1000}, 0.5) is None
    assert quantile({NEVER: 1000, 8: 1}, 0.5) == BOUNDS[8]


def test_a_quantile_is_the_bound_that_so_many_runs_did_not_exceed() -> None:
    """99 of 100 were punctual: only the very last one was late."""
    counts = {0: 50, 3: 49, 12: 1}
    assert quantile(counts, 0.5) == BOUNDS[0]
    assert quantile(counts, 0.51) == quantile(counts, 0.99) == BOUNDS[3]
    assert quantile(counts, 1) == BOUNDS[12]
    assert quantile({}, 0.5) is None


def test_the_last_bound_stands_for_everything_beyond_it() -> None:
    """A run that was two weeks late is reported as a week or more."""
    bucket = bucket_of(DUE, DUE + timedelta(days=14))
    assert bucket == len(BOUNDS)
    assert quantile({bucket: 1}, 0.99) == timedelta(days=7).total_seconds()
