"""Daily reports: what they contain, and that there is one for each mess and date."""

from __future__ import annotations

from datetime import date

from apps.manageit import reports
from tests.apps.manageit.world import TODAY, World

EVENING = "2026-06-15T18:00Z"
"""23:30 in Kolkata."""


def test_24_there_is_one_report_however_often_the_job_runs(world: World) -> None:
    """The evening's run and two by hand store one report for each mess and mail it once."""
    world.admin()
    world.official("mess1")
    world.move_to(EVENING)
    world.run_now("send_daily_report")
    world.run_now("send_daily_report")
    assert [row["mess_name"] for row in world.do(reports.of_day, TODAY)] == ["mess1", "mess2"]
    assert len(world.rows("daily_reports")) == 2
    assert sorted((sent.to, sent.mail.subject[:5]) for sent in world.mails()) == [
        ("person1@example.com", "mess1"),
        ("person1@example.com", "mess2"),
        ("person2@example.com", "mess1"),
    ]
    assert all(row["sent_at"] == world.clock.now() for row in world.rows("daily_reports"))


def test_24_a_late_report_is_of_the_day_for_which_it_was_planned(world: World) -> None:
    """The process is back at 02:00 of the next day."""
    world.waste("12.5")
    world.move_to("2026-06-15T20:30Z")
    [report, _other] = world.do(reports.of_day, TODAY)
    assert report["body"]["waste"] == {"first": 12.5}
    assert world.do(reports.of_day, date(2026, 6, 16)) == []


def test_24_a_report_tells_of_waste_feedback_and_alerts(world: World) -> None:
    world.admin()
    world.waste("60.25")
    world.waste("1.75", floor="second")
    for rating in (2, 2, 4):
        world.feedback(rating)
    world.generate()
    world.move_to(EVENING)
    text = next(
        sent.mail.text for sent in world.mails() if sent.mail.text.startswith("mess1: report")
    )
    assert text.splitlines() == [
        "mess1: report of 15 June 2026", "",
        "Waste", "  first: 60.25 Kg", "  second: 1.75 Kg", "",
        "Feedback", "  Lunch: 2.67 (3 ratings)", "",
        "Open alerts", "  ⚠ High waste: 60.25 Kg on first floor.",
        "  ⚠ Low feedback: Avg 2.67 for Lunch",
    ]  # fmt: skip
