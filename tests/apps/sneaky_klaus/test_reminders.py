"""The reminders of exchanges: when they are due, whom they reach, and that they do so once."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pytest

from apps.sneaky_klaus import exchanges
from apps.sneaky_klaus.models import Exchange, ReminderDelivery
from duly import VirtualClock
from duly.triggers import At
from tests.apps.passing_time import instant
from tests.apps.sneaky_klaus.world import World, app_on, found, world_on
from tests.support.waiting import wait_until

PARTY = "2026-12-01T18:00"
WEEK_BEFORE = "2026-11-24T23:00Z"


def at(*moments: str) -> list[datetime]:
    return [instant(moment) for moment in moments]


# ------------------------------------------------------------------------------ when


def test_02_matching_plans_three_reminders(world: World) -> None:
    """An exchange 30 days ahead has exactly the jobs for 7, 3 and 1 days."""
    exchange = world.matched(PARTY)
    stored = world.scheduler.job_ids(tag="reminders")
    assert sorted(stored) == [f"reminder_exchange_{exchange}_days_{n}" for n in (1, 3, 7)]


def test_03_times_that_have_passed_are_left_out(world: World) -> None:
    """An exchange 2 days ahead has only the job for 1 day."""
    assert world.jobs_of(world.matched("2026-11-03T12:00")).keys() == {1}


def test_04_reminders_keep_the_local_time(migrated_url: str) -> None:
    """In winter, 18:00 in New York is 23:00 UTC."""
    with world_on(migrated_url, "2025-11-20T12:00Z") as world:
        jobs = world.jobs_of(world.matched("2025-12-25T18:00"))
    days = ("2025-12-18T23:00Z", "2025-12-22T23:00Z", "2025-12-24T23:00Z")
    assert list(map(jobs.get, (7, 3, 1))) == at(*days)


def test_05_reminders_keep_the_local_time_across_a_clock_change(migrated_url: str) -> None:
    """Clocks go back on 1 November 2026, so the first reminder is at another time in UTC."""
    with world_on(migrated_url, "2026-10-01T12:00Z") as world:
        jobs = world.jobs_of(world.matched("2026-11-04T18:00"))
    days = ("2026-10-28T22:00Z", "2026-11-01T23:00Z", "2026-11-03T23:00Z")
    assert list(map(jobs.get, (7, 3, 1))) == at(*days)


@pytest.mark.parametrize(
    ("event", "reminder"),
    [
        ("2027-03-15T02:30", "2027-03-14T07:30Z"),  # 02:30 does not exist: 03:30
        ("2026-11-02T01:30", "2026-11-01T05:30Z"),  # 01:30 happens twice: the first
    ],
)
def test_05_local_times_that_do_not_exist_or_happen_twice(
    migrated_url: str, event: str, reminder: str
) -> None:
    """The first is moved by the length of the gap; of the second, the first one counts."""
    with world_on(migrated_url, "2026-10-20T12:00Z") as world:
        jobs = world.jobs_of(world.matched(event, days=(1,)))
    assert jobs == {1: instant(reminder)}


def test_06_new_intervals_replace_the_old_ones(world: World) -> None:
    """They are stored, and exchange 10 keeps its jobs when exchange 1 changes."""
    first, *_others, tenth = [world.matched(PARTY, people=3) for _ in range(10)]
    assert (first, tenth) == (1, 10)
    before = world.jobs_of(tenth)
    world.edit(first, reminder_days=[14, 2])
    assert world.jobs_of(first).keys() == {14, 2}
    assert world.jobs_of(tenth) == before
    stored = world.get(Exchange, first)
    assert stored is not None
    assert stored.reminder_days == [14, 2]


def test_06_the_same_intervals_change_nothing(world: World) -> None:
    """A job that is stored as it should be is not touched."""
    exchange = world.matched(PARTY)
    before = world.scheduler.jobs(tag="reminders")
    world.edit(exchange, reminder_days=[7, 3, 1])
    world.run_due()
    assert world.scheduler.jobs(tag="reminders") == before


# ------------------------------------------------------------------------------ whom


def test_07_a_reminder_reaches_those_who_want_it(world: World) -> None:
    """Neither those who have turned it off, nor those who have withdrawn, nor other exchanges."""
    exchange = world.matched(PARTY, people=5)
    world.matched("2026-12-20T18:00")
    quiet, gone, *others = world.participants(exchange)
    world.change(quiet.id, reminder_enabled=False)
    world.change(gone.id, withdrawn_at=world.clock.now())
    world.move_to(WEEK_BEFORE)
    mails = world.mails()
    assert sorted(mail.to for mail in mails) == sorted(person.email for person in others)
    assert len(world.rows(ReminderDelivery)) == 3


def test_07_a_reminder_says_what_its_reader_needs(world: World) -> None:
    """The local time with its zone, the days that are left, the recipient, and a way out."""
    exchange = world.matched(PARTY)
    world.move_to(WEEK_BEFORE)
    mail = world.mails()[0].mail
    giver = next(each for each in world.participants(exchange) if each.email == mail.to)
    names = {each.id: each.name for each in world.participants(exchange)}
    receiver = names[world.receivers(exchange)[giver.id]]
    assert mail.subject == "Office party is in 7 days"
    for text in (mail.text, mail.html):
        assert "Tuesday, 01 December 2026 at 18:00 (America/New_York)" in text
        assert f"You give a present to {receiver}" in text.replace("<strong>", "")
        assert "https://klaus.example.com/reminders/off/" in text


def test_07_one_failing_address_stops_no_other(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is recorded and logged, with the participant's id and without the address."""
    first, *others = world.participants(world.matched(PARTY))
    world.post.refused = {first.email}
    with caplog.at_level(logging.INFO):
        world.move_to(WEEK_BEFORE)
    assert {mail.to for mail in world.mails()} == {person.email for person in others}
    [failed] = world.runs("mail_reminder", state="failed")
    assert failed.args["participant_id"] == first.id
    assert failed.attempt == 1
    assert f"The reminder to participant {first.id} was not sent" in caplog.text
    assert "@" not in caplog.text


@pytest.mark.parametrize("to", ["unmatch", "complete"])
def test_07_only_a_matched_exchange_reminds(world: World, to: str) -> None:
    """The job checks this itself, whoever has started it."""
    exchange = world.matched(PARTY)
    run = world.scheduler.enqueue("send_reminders", exchange_id=exchange, days_before=7)
    world.move(exchange, to)  # type: ignore[arg-type]
    assert world.mails() == []
    assert world.scheduler.run(run).state == "discarded"


def test_07_a_mail_under_way_stops_when_it_is_not_wanted_any_more(world: World) -> None:
    """The state of the moment at which it is sent decides."""
    exchange = world.matched(PARTY)
    person = world.participants(exchange)[0]
    world.post.down = True
    world.move_to(WEEK_BEFORE)
    world.change(person.id, reminder_enabled=False)
    world.post.down = False
    world.forward(minutes=1)
    assert person.email not in {mail.to for mail in world.mails()}
    assert [run.args["participant_id"] for run in world.runs("mail_reminder", state="discarded")] \
        == [person.id]  # fmt: skip


def test_07_an_exchange_without_readers_reminds_nobody(world: World) -> None:
    """The run succeeds, and says so."""
    exchange = world.matched(PARTY)
    for person in world.participants(exchange):
        world.change(person.id, reminder_enabled=False)
    world.move_to(WEEK_BEFORE)
    assert world.run("send_reminders").result == {"enqueued": 0, "skipped": 0}


# ------------------------------------------------------------------------------ once


def test_08_the_same_reminder_again_mails_nobody(world: World) -> None:
    """Those who have it are skipped, and somebody who wants it only now gets it."""
    exchange = world.matched(PARTY)
    late = world.participants(exchange)[0]
    world.change(late.id, reminder_enabled=False)
    world.move_to(WEEK_BEFORE)
    assert len(world.mails()) == 2
    job = f"reminder_exchange_{exchange}_days_7"
    world.scheduler.run_now(job)
    assert world.mails() == []
    world.change(late.id, reminder_enabled=True)
    world.scheduler.run_now(job)
    assert [mail.to for mail in world.mails()] == [late.email]
    assert world.run("send_reminders").result == {"enqueued": 1, "skipped": 2}


def test_08_a_rerun_while_mails_are_under_way_adds_none(world: World) -> None:
    """A mail that waits for the mail server is not enqueued a second time."""
    exchange = world.matched(PARTY)
    world.post.down = True
    world.move_to(WEEK_BEFORE)
    world.scheduler.run_now(f"reminder_exchange_{exchange}_days_7")
    world.run_due()
    world.post.down = False
    world.forward(minutes=1)
    assert len(world.mails()) == 3
    assert len(world.runs("mail_reminder")) == 3


def test_08_a_crash_between_the_mail_and_its_record(world: World) -> None:
    """The repetition has the same key, by which the mail service recognizes it."""
    world.matched(PARTY)
    world.post.crash_after = 1
    world.move_to(WEEK_BEFORE)
    world.forward(minutes=1)
    assert len(world.mails()) == 3
    assert len(world.post.requests) == 3 + 3 + 1  # assignments, reminders, and the repetition
    assert len(world.rows(ReminderDelivery)) == 3


def test_09_down_for_less_than_the_grace_period(world: World) -> None:
    """Due at 12:00, back at 12:30: sent once."""
    world.matched(PARTY, timezone="UTC", days=(7,))
    world.set_clock("2026-11-24T18:30Z")
    assert len(world.mails()) == 3
    world.forward(minutes=10)
    assert world.mails() == []


def test_09_down_for_longer_than_the_grace_period(world: World) -> None:
    """Due at 12:00, back at 13:01: missed, shown as such, and sent by hand."""
    exchange = world.matched(PARTY, timezone="UTC", days=(7,))
    world.move_to("2026-11-24T19:01Z")
    assert world.mails() == []
    [missed] = world.scheduler.runs(state="missed", tag=f"exchange:{exchange}")
    assert missed.scheduled_for == instant("2026-11-24T18:00Z")
    world.forward(hours=2)
    world.scheduler.run_now(f"reminder_exchange_{exchange}_days_7")
    assert len(world.mails()) == 3


# ---------------------------------------------------------------------------- re-plan


def test_26_another_date_moves_the_reminders(world: World) -> None:
    exchange = world.matched(PARTY)
    world.edit(exchange, exchange_date=instant("2026-12-02T18:00", "America/New_York"))
    assert world.jobs_of(exchange)[1] == instant("2026-12-01T23:00Z")


def test_26_another_zone_moves_the_reminders(world: World) -> None:
    """The instant stays, and the local time of the new zone counts from now on."""
    exchange = world.matched("2027-04-01T12:00Z", timezone="UTC", days=(7,))
    world.edit(exchange, timezone="Europe/Madrid")  # 14:00 there; clocks change on 28 March
    assert world.jobs_of(exchange) == {7: instant("2027-03-25T13:00Z")}


@pytest.mark.parametrize("to", ["unmatch", "complete"])
def test_26_leaving_the_matched_state_removes_the_reminders(world: World, to: str) -> None:
    exchange = world.matched(PARTY)
    world.move(exchange, to)  # type: ignore[arg-type]
    assert world.jobs_of(exchange) == {}


def test_26_matching_again_plans_the_reminders_again(world: World) -> None:
    exchange = world.matched(PARTY)
    before = world.jobs_of(exchange)
    world.move(exchange, "unmatch")
    world.match(exchange)
    assert world.jobs_of(exchange) == before
    world.match(exchange)
    assert world.jobs_of(exchange) == before


def test_26_deletion_removes_the_reminders(world: World) -> None:
    exchange = world.matched(PARTY)
    world.delete(exchange)
    assert world.scheduler.job_ids(tag="reminders") == []


def test_26_a_change_that_fails_leaves_the_reminders(world: World) -> None:
    """The exchange and its jobs change together or not at all."""
    exchange = world.matched(PARTY)

    def change() -> None:
        exchanges.edit(found(exchange), reminder_days=[2])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.do(change)
    assert world.jobs_of(exchange).keys() == {7, 3, 1}


def test_26_rows_deleted_by_hand_are_repaired_within_the_hour(world: World) -> None:
    exchange = world.matched(PARTY)
    before = world.jobs_of(exchange)
    world.scheduler.remove(f"reminder_exchange_{exchange}_days_3")
    world.scheduler.add(
        "send_reminders", At(instant("2026-11-20T12:00Z")), id="reminder_exchange_99_days_7",
        args={"exchange_id": 99, "days_before": 7}, tags=["reminders", "exchange:99"],
    )  # fmt: skip
    world.move_to("2026-11-01T12:15Z")
    assert world.jobs_of(exchange) == before
    assert world.jobs_of(99) == {}
    assert world.run("reconcile_reminders").result == {"ok": 2, "repaired": 2, "failed": 0}


def test_26_an_overdue_reminder_survives_the_repair_at_the_start(migrated_url: str) -> None:
    """Back within the grace period, with the repair first: it is sent all the same."""
    clock = VirtualClock(instant("2026-11-01T12:00Z"))
    with app_on(migrated_url, clock) as before:
        exchange = before.matched(PARTY, days=(7,))
    clock.set(instant(WEEK_BEFORE) + timedelta(minutes=30))
    with app_on(migrated_url, clock) as after:
        after.edit(exchange, description="A change that plans the reminders again.")
        after.scheduler.start()
        wait_until(lambda: after.runs("reconcile_reminders", state="succeeded"))
        wait_until(lambda: len(after.post.sent) == 3)
