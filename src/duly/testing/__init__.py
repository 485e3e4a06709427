"""Testing schedules.

`duly.testing.simulate` lets a seeded world of crashes, pauses and lost commits live and checks
what must hold; `duly.testing.forecast` runs a year of an application's schedule in a second.
"""

from __future__ import annotations

from duly.testing.forecast import Forecast, simulate_schedule

__all__ = ["Forecast", "simulate_schedule"]
