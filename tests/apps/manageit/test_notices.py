"""Notices for admins: which feedback they tell of, once, and how they are mailed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.manageit import notices
from tests.apps.manageit.world import World, world_on

LUNCH, SNACKS, DINNER = "2026-06-15T08:30Z", "2026-06-15T12:30Z", "2026-06-15T16:30Z"
"""14:00, 18:00 and 22:00 in Kolkata."""


def texts(world: World) -> list[str]:
    return [notice["message"] for notice in world.notices()]


def test_15_each_critical_rating_is_told_once_at_its_meal(world: World) -> None:
    """One notice for each mess; dinner does not repeat lunch, and breakfast is not in it."""
    world.feedback(1, "Cold rice")
    world.feedback(2, "No salt")
    world.feedback(2, mess="mess2")
    world.feedback(3, "It was all right")
    world.feedback(1, "Burnt", meal="Breakfast")
    world.move_to(LUNCH)
    assert texts(world) == [
        "mess1, Lunch of 15 June 2026: 2 critical ratings.\n“Cold rice”\n“No salt”",
        "mess2, Lunch of 15 June 2026: 1 critical rating.",
    ]
    world.pass_until(DINNER)
    assert len(texts(world)) == 2
    assert world.run("notify_lunch_admin").result == {
        "meal": "Lunch", "created": 2, "sent": 2, "failed": 0,
    }  # fmt: skip


def test_15_feedback_that_comes_later_is_told_alone(world: World) -> None:
    world.feedback(1, "Cold rice")
    world.move_to(LUNCH)
    world.feedback(1, "Still cold")
    world.run_now("notify_lunch_admin")
    assert texts(world)[1:] == ["mess1, Lunch of 15 June 2026: 1 critical rating.\n“Still cold”"]
    assert all(row["notified_at"] for row in world.rows("feedback"))


def test_15_a_run_that_is_too_late_is_missed(world: World) -> None:
    """The notices of 14:00 are sent until 15:00; after that the time is recorded as missed."""
    world.feedback(1)
    world.move_to("2026-06-15T09:30Z")
    assert len(texts(world)) == 1
    world.set_clock("2026-06-16T08:00Z")
    world.feedback(1)
    world.set_clock("2026-06-16T09:31Z")
    world.run_due()
    assert len(texts(world)) == 1
    assert world.runs("notify_lunch_admin")[0].state == "missed"


def test_15_three_comments_are_quoted_briefly_and_nobody_is_named(world: World) -> None:
    for number in range(5):
        world.feedback(1, f"{number} {'very ' * 10}\nmess2, {'very ' * 40}bad")
    world.move_to(LUNCH)
    [text] = texts(world)
    first, *quoted = text.split("\n")
    assert first.endswith("5 critical ratings.")
    assert [(len(each), each[1]) for each in quoted] == [(122, "0"), (122, "1"), (122, "2")]
    assert "erson" not in text


def test_16_without_critical_feedback_there_is_no_notice(world: World) -> None:
    """The run succeeds, and its log says so in one line."""
    world.feedback(3)
    world.move_to(LUNCH)
    assert texts(world) == []
    run = world.run("notify_lunch_admin")
    assert run.state == "succeeded"
    lines = [line.message for line in world.scheduler.run_log(run.id)]
    assert lines.count("There is no critical feedback of Lunch.") == 1


def test_17_a_notice_is_stored_while_the_mail_server_is_down(world: World) -> None:
    """It is visible at once, and each admin receives one mail later."""
    world.admin()
    world.admin()
    world.post.down = True
    world.feedback(1, "<b>Cold</b> rice")
    world.move_to(LUNCH)
    [notice] = world.notices()
    assert notice["email_status"] == "pending"
    world.post.down = False
    world.forward(minutes=2)
    to = sorted(sent.to for sent in world.mails())
    assert to == ["person1@example.com", "person2@example.com"]
    assert world.notices()[0]["email_status"] == "sent"
    world.forward(hours=2)
    assert world.mails() == []


def test_17_a_mail_says_what_the_notice_says(world: World) -> None:
    world.admin()
    world.feedback(1, "<b>Cold</b> rice")
    world.move_to(LUNCH)
    [sent] = world.mails()
    assert sent.mail.subject == "mess1, Lunch of 15 June 2026: 1 critical rating."
    assert "“<b>Cold</b> rice”" in sent.mail.text
    assert "<b>" not in sent.mail.html


def test_17_one_address_stops_no_other(world: World) -> None:
    """An address that is refused receives nothing; the others receive one mail each."""
    for _each in range(3):
        world.admin()
    world.post.refused = {"person1@example.com"}
    world.feedback(1)
    world.move_to(LUNCH)
    to = sorted(sent.to for sent in world.mails())
    assert to == ["person2@example.com", "person3@example.com"]
    assert world.notices()[0]["email_status"] == "failed"


def test_17_a_mail_fails_after_three_further_attempts(world: World) -> None:
    """They follow after about 1, 5 and 15 minutes; the notice stays."""
    world.admin()
    world.post.down = True
    world.feedback(1)
    world.move_to(LUNCH)
    world.pass_until(world.clock.now() + timedelta(minutes=30))
    assert len(world.post.requests) == 4
    assert world.notices()[0]["email_status"] == "failed"


def test_17_without_a_mail_server_notices_are_only_stored(url: str) -> None:
    with world_on(url, mail=False) as world:
        world.admin()
        world.feedback(1)
        world.move_to(LUNCH)
        assert [notice["email_status"] for notice in world.notices()] == ["none"]
        assert world.rows("mails") == []


def test_a_message_that_fails_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again with the run, which then tells of nothing else a second time."""
    real = notices.send_notification
    failed: list[Any] = []

    def send(message: Any) -> bool:
        if message.text.startswith("mess1") and not failed:
            failed.append(message)
            raise ConnectionError("the database does not respond")
        return real(message)

    monkeypatch.setattr(notices, "send_notification", send)
    world.feedback(1)
    world.feedback(1, mess="mess2")
    world.move_to(LUNCH)
    assert [text[:5] for text in texts(world)] == ["mess2"]
    world.forward(seconds=5)
    assert [text[:5] for text in texts(world)] == ["mess2", "mess1"]
    assert world.run("notify_lunch_admin").result["sent"] == 1


def test_two_runs_do_not_tell_of_the_same_feedback(world: World) -> None:
    """A run that was paused meanwhile does not tell of what another one has told of."""
    world.feedback(1)
    [paused] = world.do(notices.critical_feedback, "Lunch", world.today())
    world.feedback(1)
    world.run_now("notify_lunch_admin")
    with pytest.raises(notices.ToldMeanwhile):
        world.do(notices.send_notification, paused)
    assert len(texts(world)) == 1


def test_22_three_failures_of_a_job_are_told_to_the_admins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that raises is listed as failed; the others run on."""

    def fail(*_arguments: Any) -> Any:
        raise ArithmeticError("the ratings cannot be read")

    monkeypatch.setattr(notices, "critical_feedback", fail)
    for day in range(15, 18):
        for time in ("08:30:00", "08:30:10", "08:30:30", "08:31:30", "18:30:00"):
            world.move_to(f"2026-06-{day}T{time}Z")
    failed = world.runs("notify_lunch_admin", state="failed")
    assert len(failed) == 3
    assert "the ratings cannot be read" in str(failed[0].error_message)
    assert len(world.runs("cleanup_old_menu", state="succeeded")) == 3
    world.scheduler.send_notices()
    told = [notice for notice in world.notices() if notice["kind"] == "failing_job"]
    assert len(told) == 1
    assert "notify_lunch_admin" in told[0]["message"]
