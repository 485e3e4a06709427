"""The reminders of exchanges: when they are due, whom they reach, and that they do so once."""

from __future__ import annotations

from tests.apps.sneaky_klaus.world import World


def test_02_matching_plans_three_reminders(world: World) -> None:
    """An exchange 30 days ahead has a job 7, 3 and 1 days before it."""
    world.matched("2026-12-01T18:00")
    assert world.jobs_of(1).keys() == {7, 3, 1}
