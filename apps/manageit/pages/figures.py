"""What the alerts of a mess are calculated from: waste and feedback of the last days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from apps.manageit import feedback as ratings
from apps.manageit import waste as wastes
from apps.manageit.database import Row
from apps.manageit.menus import MEALS
from apps.manageit.pages.charts import BarChart, Figures, bars_of
from apps.manageit.services import services, today

_BEST = 5


def waste(mess: str) -> Figures:
    """Return the waste of each floor by day, and whether its sum raises an alert."""
    days = _days()
    values: dict[str, dict[date, float]] = {}
    for row in wastes.recent(mess, len(days)):
        if row["waste_date"] in days:
            of_floor = values.setdefault(row["floor"], {})
            day = row["waste_date"]
            of_floor[day] = of_floor.get(day, 0.0) + float(row["total_waste"])
    top = max((kg for of_floor in values.values() for kg in of_floor.values()), default=0.0)
    sums = {floor: round(sum(of_floor.values()), 2) for floor, of_floor in values.items()}
    limit = services().settings.high_waste_kg
    charts = [
        BarChart(floor, bars_of(values[floor], days, top), sums[floor], sums[floor] > limit)
        for floor in sorted(values)
    ]
    return Figures(days, values, charts)


def feedback(mess: str) -> Figures:
    """Return the average rating of each meal by day, and whether it raises an alert."""
    days = _days()
    by_meal: dict[str, list[Row]] = {}
    for row in ratings.recent(mess, len(days)):
        if row["feedback_date"] in days and row["rating_count"]:
            by_meal.setdefault(row["meal"], []).append(row)
    values = {
        meal: {row["feedback_date"]: float(row["rating"]) for row in rows}
        for meal, rows in by_meal.items()
    }
    charts = [
        _of_meal(meal, by_meal[meal], values[meal], days) for meal in MEALS if meal in by_meal
    ]
    return Figures(days, values, charts)


def _of_meal(
    meal: str, rows: list[Row], values: Mapping[date, float], days: list[date]
) -> BarChart:
    settings = services().settings
    count = sum(row["rating_count"] for row in rows)
    average = sum(float(row["rating"]) * row["rating_count"] for row in rows) / count
    bad = average < settings.low_rating and count >= settings.low_rating_min_count
    return BarChart(meal, bars_of(values, days, _BEST), average, bad)


def _days() -> list[date]:
    """Return the days at which the alerts look."""
    window = services().settings.alert_window_days
    return [today() - timedelta(days) for days in reversed(range(window))]
