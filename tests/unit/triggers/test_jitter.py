"""Jitter: stable, spread out, never past the next nominal time."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from duly.triggers import jitter_delay
from tests.unit.triggers.helpers import utc

NOON = utc("2026-05-04T12:00")
MINUTE = timedelta(minutes=1)


@given(
    job_id=st.text(max_size=30),
    spread=st.timedeltas(timedelta(0), timedelta(days=2)),
    distance=st.timedeltas(timedelta(microseconds=1), timedelta(days=1)),
)
def test_occurrences_start_in_order(job_id, spread, distance):
    """However large the spread, an occurrence starts before the next one's nominal time."""
    delay = jitter_delay(NOON, spread, job_id=job_id, following=NOON + distance)
    assert timedelta(0) <= delay <= spread
    assert delay < distance


def test_it_depends_on_job_and_nominal_time_only():
    """Every process finds the same delay, and a change of the hash would show here."""
    delays = [jitter_delay(NOON, MINUTE, job_id=job) for job in ("a", "b", "a")]
    assert delays[0] == delays[2] != delays[1]
    assert jitter_delay(NOON + MINUTE, MINUTE, job_id="a") != delays[0]
    assert [round(delay.total_seconds(), 3) for delay in delays[:2]] == [2.429, 55.635]


def test_jobs_spread_evenly():
    """Ten thousand jobs of one instant fill every tenth of the spread about equally."""
    tenths = [0] * 10
    for number in range(10_000):
        delay = jitter_delay(NOON, MINUTE, job_id=f"job {number}")
        tenths[int(delay / MINUTE * 10)] += 1
    assert all(900 < count < 1100 for count in tenths)


def test_no_spread_is_no_delay():
    """Zero and negative spreads leave the nominal time alone."""
    assert jitter_delay(NOON, timedelta(0), job_id="a") == timedelta(0)
    assert jitter_delay(NOON, -MINUTE, job_id="a") == timedelta(0)
    assert jitter_delay(NOON, MINUTE, job_id="a", following=NOON) == timedelta(0)
