"""The clean-up: what it deletes, and what holds when it cannot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.manageit import cleanup
from apps.manageit.settings import CleanupTable
from duly.errors import ConfigurationError
from tests.apps.manageit.world import TODAY, World, world_on

MIDNIGHT = "2026-06-15T18:30Z"
"""In Kolkata 16 June begins."""

DAY = timedelta(days=1)


def kept(world: World) -> list[str]:
    """The dates of the dated menus that are stored."""
    return [row["menu_date"].isoformat() for row in world.rows("temporary_menu")]


def test_03_only_menus_of_past_days_are_deleted(world: World) -> None:
    """Those of yesterday go with their children; what was entered early for later days stays."""
    for days in (0, 1, 9):
        world.dated(TODAY + days * DAY)
        world.non_veg(TODAY + days * DAY)
    world.move_to(MIDNIGHT)
    assert kept(world) == ["2026-06-16", "2026-06-24"]
    mains = world.rows("non_veg_menu_main")
    assert [row["menu_date"] for row in mains] == [TODAY + DAY, TODAY + 9 * DAY]
    items = world.rows("non_veg_menu_items")
    assert {row["main_id"] for row in items} == {row["id"] for row in mains}
    assert len(items) == 4
    run = world.run("cleanup_old_menu")
    assert run.state == "succeeded"
    assert run.result == {"cutoff": "2026-06-16", "temporary_menu": 1, "non_veg_menu_main": 1}


def test_04_the_date_in_kolkata_decides(world: World) -> None:
    """At 20:00 UTC it is 01:30 of the next day there: what is for today then is not old."""
    world.set_clock("2026-06-14T20:00Z")
    world.dated(world.today())
    assert world.rows("temporary_menu")[0]["created_at"] == datetime(2026, 6, 14, 20, tzinfo=UTC)
    world.dated(world.today() - DAY, "Dosa")
    world.run_now("cleanup_old_menu")
    assert kept(world) == ["2026-06-15"]


def test_05_a_clean_up_deletes_everything_or_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the second delete fails, the first is undone, and the run has failed."""
    world.dated(TODAY - DAY)
    missing = CleanupTable("a_table_that_was_dropped", "menu_date", 0)
    monkeypatch.setattr(cleanup, "OLD_MENUS", (cleanup.OLD_MENUS[0], missing))
    world.run_now("cleanup_old_menu")
    world.forward(minutes=5)
    world.pass_until(world.clock.now() + timedelta(minutes=5))
    run = world.run("cleanup_old_menu")
    assert (run.state, run.attempt) == ("failed", 4)
    assert "a_table_that_was_dropped" in str(run.error_message)
    assert kept(world) == ["2026-06-14"]


def test_06_a_second_clean_up_deletes_nothing(world: World) -> None:
    world.dated(TODAY - DAY)
    world.run_now("cleanup_old_menu")
    run = world.run_now("cleanup_old_menu")
    assert run.state == "succeeded"
    assert run.result == {"cutoff": "2026-06-15", "temporary_menu": 0, "non_veg_menu_main": 0}


def test_20_a_clean_up_of_midnight_is_made_up_for_at_two(world: World) -> None:
    """The process was down at 00:00 and is back at 02:00 in Kolkata: it runs once."""
    world.dated(TODAY)
    world.move_to("2026-06-15T20:30Z")
    world.forward(minutes=1)
    [run] = world.runs("cleanup_old_menu")
    assert run.state == "succeeded"
    assert run.scheduled_for == datetime(2026, 6, 15, 18, 30, tzinfo=UTC)
    assert kept(world) == []


def test_20_a_clean_up_is_missed_after_six_hours(world: World) -> None:
    """Back at 06:30, the time is recorded as missed, and the menu stays until the next night."""
    world.dated(TODAY)
    world.move_to("2026-06-16T01:00Z")
    [run] = world.runs("cleanup_old_menu")
    assert run.state == "missed"
    assert kept(world) == ["2026-06-15"]
    world.move_to("2026-06-16T18:30Z")
    assert kept(world) == []


def test_very_many_rows_are_deleted_in_several_transactions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a run of its own, which deletes a limited number."""
    monkeypatch.setattr(cleanup, "AT_ONCE", 2)
    for number in range(5):
        world.dated(TODAY - DAY, f"Item {number}")
    world.run_now("cleanup_old_menu")
    assert kept(world) == []
    deleted = [
        run.result["temporary_menu"]
        for run in world.scheduler.runs(task="cleanup_old_menu", limit=10)
    ]
    assert deleted == [1, 2, 2]


def test_what_is_configured_is_cleaned_up_too(url: str) -> None:
    """A column of instants is compared with the moment at which a day begins in Kolkata."""
    tables = "feedback:created_at:1,waste_summary:waste_date:2"
    with world_on(url, "2026-06-14T18:29Z", cleanup_tables=tables) as world:
        world.feedback(4)
        world.waste("1", day=TODAY - 3 * DAY)
        world.set_clock("2026-06-14T18:30Z")
        world.feedback(5)
        world.move_to(MIDNIGHT)
        assert [row["rating"] for row in world.rows("feedback")] == [5]
        assert world.rows("waste_summary") == []
        [run] = world.runs("cleanup_old_menu", state="succeeded")
        assert run.result["feedback"] == 1


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("nowhere:menu_date:1", "which does not exist"),
        ("feedback:no_date:1", "which does not exist"),
        ("feedback:rating:1", "a column that ends in _at or _date"),
        ("messes:alerts_failed_at:1", "a table with an id"),
    ],
)
def test_a_table_that_cannot_be_cleaned_up_prevents_the_start(
    url: str, table: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem), world_on(url, cleanup_tables=table):
        pass


def test_old_history_is_pruned(world: World) -> None:
    """Resolved alerts are kept for 90 days, and notices that were read for 180."""
    world.waste("60")
    world.generate()
    world.execute("DELETE FROM waste_summary")
    world.generate()
    world.execute("UPDATE mess_alerts SET resolved_at = %s", world.clock.now())
    for days in (0, 91, 181):
        world.insert(
            "notifications", audience="admin", message="…", kind="failing_job",
            dedupe_key=str(days), created_at=world.clock.now(),
            read_at=world.clock.now() - timedelta(days),
        )  # fmt: skip
    result = world.run_now("prune_history").result
    assert result == {"mess_alerts": 0, "notifications": 1, "mails": 0}
    world.set_clock(world.clock.now() + timedelta(days=92))
    world.run_now("prune_history")
    assert world.rows("mess_alerts") == []
    assert len(world.rows("notifications")) == 1
