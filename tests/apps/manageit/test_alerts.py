"""Alerts: what raises them, how they change, and what becomes of them."""

from __future__ import annotations

from datetime import timedelta

from tests.apps.manageit.world import TODAY, World


def test_07_a_floor_raises_an_alert_over_fifty_kilograms(world: World) -> None:
    """Exactly 50.00 kg within the window are no alert, and 50.01 kg are one."""
    world.waste("20.00")
    world.waste("30.00", day=TODAY - timedelta(days=1))
    world.generate()
    assert world.messages() == []
    world.waste("30.01", day=TODAY - timedelta(days=1))
    world.generate()
    assert world.messages() == ["⚠ High waste: 50.01 Kg on first floor."]
