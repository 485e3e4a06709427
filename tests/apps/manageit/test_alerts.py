"""Alerts: what raises them, how they change, and what becomes of them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from apps.manageit import alerts
from duly import VirtualClock
from tests.apps.manageit.world import START, TODAY, World, app_on, world_on
from tests.apps.passing_time import instant

DAY = timedelta(days=1)
JOB = "generate_high_low_alerts"


def rate(world: World, *ratings: int, **options: Any) -> None:
    """Let a student for each rating give feedback of lunch today."""
    for rating in ratings:
        world.feedback(rating, **options)


def fail_for(monkeypatch: pytest.MonkeyPatch, *messes: str) -> None:
    """Let the alerts of these messes fail."""
    real = alerts._conditions

    def conditions(cursor: Any, mess: str) -> Any:
        if mess in messes:
            raise ArithmeticError(f"the figures of {mess} cannot be read")
        return real(cursor, mess)

    monkeypatch.setattr(alerts, "_conditions", conditions)


def test_07_a_floor_raises_an_alert_over_fifty_kilograms(world: World) -> None:
    """Exactly 50.00 kg within the window are no alert, and 50.01 kg are one."""
    world.waste("20.00")
    world.waste("30.00", day=TODAY - DAY)
    world.generate()
    assert world.messages() == []
    world.waste("30.01", day=TODAY - DAY)
    assert world.generate().result == {
        "mess1": {"high_waste": 1, "low_feedback": 0},
        "mess2": {"high_waste": 0, "low_feedback": 0},
    }
    assert world.messages() == ["⚠ High waste: 50.01 Kg on first floor."]
    assert float(world.board().alerts[0]["value"]) == 50.01


def test_08_a_meal_raises_an_alert_below_an_average_of_three(world: World) -> None:
    """An average of exactly 3.00 is no alert, and 2.99 is one."""
    rate(world, *[3] * 99)
    world.generate()
    assert world.messages() == []
    rate(world, 2)
    world.generate()
    assert world.messages() == ["⚠ Low feedback: Avg 2.99 for Lunch"]


def test_08_few_ratings_raise_no_alert_if_more_are_required(url: str) -> None:
    with world_on(url, low_rating_min_count=3) as world:
        rate(world, 1, 1)
        world.generate()
        assert world.messages() == []
        rate(world, 1)
        world.generate()
        assert world.messages() == ["⚠ Low feedback: Avg 1.00 for Lunch"]


def test_08_each_rating_of_the_window_counts_the_same(world: World) -> None:
    """Three ratings of one day outweigh one of another; their sum is exactly three on average."""
    rate(world, 3, 3, 4)
    world.set_clock(START + DAY)
    rate(world, 2)
    world.generate()
    assert world.messages() == []
    rate(world, 2)
    world.generate()
    assert world.messages() == ["⚠ Low feedback: Avg 2.80 for Lunch"]


def test_09_the_window_is_seven_days_and_ends_today(world: World) -> None:
    """Waste of the eighth day and of tomorrow is not counted; that of six days ago is."""
    world.waste("60", floor="ground", day=TODAY - 7 * DAY)
    world.waste("60", floor="second", day=TODAY + DAY)
    world.waste("60", floor="first", day=TODAY - 6 * DAY)
    world.generate()
    assert world.messages() == ["⚠ High waste: 60.00 Kg on first floor."]
    [alert] = world.board().alerts
    assert alert["window_start_date"] == TODAY - 6 * DAY
    assert alert["window_end_date"] == TODAY


def test_10_a_failure_leaves_the_alerts_of_a_mess(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stay, marked as stale, and another mess is refreshed."""
    world.waste("60")
    world.generate()
    before = world.board().alerts
    world.waste("70", mess="mess2")
    fail_for(monkeypatch, "mess1")
    world.forward(minutes=1)
    world.generate()
    board = world.board("mess1")
    assert (board.alerts, board.stale) == (before, True)
    assert world.messages("mess2") == ["⚠ High waste: 70.00 Kg on first floor."]
    assert not world.board("mess2").stale
    world.pass_until(world.clock.now() + timedelta(minutes=5))
    run = world.runs(JOB, cause="manual")[0]
    assert (run.state, run.attempt, run.counters["failed"]) == ("succeeded", 4, 1)
    monkeypatch.undo()
    world.generate()
    assert not world.board("mess1").stale


def test_10_a_run_of_which_nothing_succeeds_has_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_for(monkeypatch, "mess1", "mess2")
    world.generate()
    world.pass_until(world.clock.now() + timedelta(minutes=5))
    run = world.runs(JOB, cause="manual")[0]
    assert (run.state, run.attempt) == ("failed", 4)


def test_11_a_condition_that_has_gone_is_resolved(world: World) -> None:
    """It disappears from the dashboard and stays in the history; one that stays keeps its age."""
    world.waste("60", floor="first")
    world.waste("80", floor="second")
    world.generate()
    world.waste("10", floor="first")
    world.waste("90", floor="second")
    world.forward(hours=1)
    assert world.messages() == ["⚠ High waste: 90.00 Kg on second floor."]
    [alert] = world.board().alerts
    assert alert["first_seen_at"] == START
    assert alert["generated_at"] == world.clock.now()
    [old] = [row for row in world.rows("mess_alerts") if row["resolved_at"]]
    assert old["subject"] == "first"
    assert old["resolved_at"] == world.clock.now()
    world.waste("60", floor="first")
    world.forward(hours=1)
    assert len(world.messages()) == 2
    assert len(world.rows("mess_alerts")) == 3


def test_12_alerts_are_the_same_after_a_restart_and_in_each_process(url: str) -> None:
    clock = VirtualClock(START)
    with app_on(url, clock) as first:
        first.run_due()
        first.waste("60")
        first.generate()
        alerts_of_first = first.board()
        with app_on(url, clock) as second:
            assert second.board() == alerts_of_first
    with app_on(url, clock) as restarted:
        assert restarted.board() == alerts_of_first


def test_13_a_new_mess_has_alerts_without_a_restart(world: World) -> None:
    """A mess that is closed has none after the next run."""
    world.mess("mess3")
    world.waste("60", mess="mess3")
    world.forward(hours=1)
    assert world.messages("mess3") == ["⚠ High waste: 60.00 Kg on first floor."]
    world.execute("UPDATE messes SET active = 0 WHERE name = 'mess3'")
    world.forward(hours=1)
    assert world.messages("mess3") == []
    assert "mess3" not in world.generate().result


def test_21_before_the_first_generation_nothing_is_known(world: World) -> None:
    """There are no alerts either way, but the mess shows whether any were generated."""
    board = world.board()
    assert (board.alerts, board.mess["alerts_generated_at"]) == ([], None)
    assert not board.stale
    world.generate()
    assert world.board().mess["alerts_generated_at"] == world.clock.now()


def test_alerts_that_nobody_replaces_become_stale(world: World) -> None:
    world.generate()
    world.set_clock(START + timedelta(minutes=120))
    assert not world.board().stale
    world.set_clock(START + timedelta(minutes=121))
    assert world.board().stale


def test_what_is_recorded_raises_alerts_within_a_minute(world: World) -> None:
    """However much is recorded meanwhile, they are generated once."""
    world.waste("30")
    world.waste("31", floor="second")
    rate(world, 1, 1)
    world.forward(seconds=59)
    assert world.messages() == []
    world.forward(seconds=1)
    assert world.messages() == ["⚠ Low feedback: Avg 1.00 for Lunch"]
    assert len(world.scheduler.runs(task="generate_alerts_of")) == 1
    world.waste("51")
    world.forward(seconds=60)
    assert "⚠ High waste: 51.00 Kg on first floor." in world.messages()


def test_an_acknowledged_alert_stays_so_while_it_is_open(world: World) -> None:
    world.waste("60")
    world.generate()
    [alert] = world.board().alerts
    ana, ben = world.official(), world.official()
    assert world.do(alerts.acknowledge, alert["id"], "mess2", ana) == "absent"
    assert world.do(alerts.acknowledge, alert["id"], "mess1", ana) == "done"
    assert world.do(alerts.acknowledge, alert["id"], "mess1", ben) == "done"
    world.forward(hours=1)
    assert world.board().alerts[0]["acknowledged_by"] == ana
    world.waste("1")
    world.generate()
    assert world.do(alerts.acknowledge, alert["id"], "mess1", ben) == "resolved"


def test_no_text_is_too_foreign_for_a_floor_or_a_comment(world: World) -> None:
    """Texts are stored as they are, and floors that differ in case are different floors."""
    for floor in ("पहली मंज़िल 🍛", "First", "first"):
        world.waste("60", floor=floor)
    world.feedback(1, "नमक ज़्यादा था 😖")
    world.generate()
    assert sorted(alert["subject"] for alert in world.board().alerts) == [
        "First", "Lunch", "first", "पहली मंज़िल 🍛",
    ]  # fmt: skip
    assert world.rows("feedback")[0]["comment"] == "नमक ज़्यादा था 😖"


def test_two_processes_that_generate_at_once_do_not_collide(url: str) -> None:
    """They wait for each other, and nobody who records something meanwhile fails."""
    clock = VirtualClock(instant(START))
    errors: list[BaseException] = []

    def often(function: Any) -> None:
        try:
            for number in range(8):
                function(number)
        except BaseException as error:  # noqa: BLE001 - asserted below
            errors.append(error)

    with app_on(url, clock) as one, app_on(url, clock) as other:
        one.run_due()
        work = [
            lambda number: one.waste(str(50 + number % 3)),
            lambda number: other.waste(str(60 + number), floor="second"),
            lambda _number: one.feedback(1),
            lambda _number: one.do(alerts.generate, "mess1"),
            lambda _number: other.do(alerts.generate, "mess1"),
        ]
        threads = [threading.Thread(target=often, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        one.do(alerts.generate, "mess1")
        assert len(one.board().alerts) == 3
        assert one.rows("feedback_summary")[0]["rating_count"] == 8
