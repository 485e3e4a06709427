"""The daily and hourly jobs: completion, purge, clean-ups, and what happens when they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import event

from apps.sneaky_klaus import exchanges
from apps.sneaky_klaus import jobs as jobs_module
from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import (
    RATE_LIMITS,
    BrowserSession,
    Exchange,
    Exclusion,
    MagicToken,
    Match,
    Participant,
    ReminderDelivery,
)  # fmt: skip
from duly import Scheduler, VirtualClock, cron, every
from tests.apps.passing_time import instant
from tests.apps.sneaky_klaus.world import START, World, app_on
from tests.support.waiting import wait_until

FIXED = {
    "auto_complete_exchanges": cron("0 0 * * *", tz="UTC"),
    "purge_old_exchanges": cron("0 2 * * *", tz="UTC"),
    "cleanup_expired_tokens": every(hours=1, anchor=START),
    "cleanup_expired_sessions": cron("0 3 * * *", tz="UTC"),
    "cleanup_expired_rate_limits": cron("0 4 * * *", tz="UTC"),
    "reconcile_reminders": cron("15 * * * *", tz="UTC"),
}
OVER = instant("2026-12-02T05:00Z")
"""Midnight in New York after the exchange of most tests."""


@pytest.fixture
def started(migrated_url: str) -> Iterator[Callable[..., World]]:
    """Starts applications on one database and one clock, and stops them."""
    clock = VirtualClock(instant("2026-11-01T12:00Z"))
    opened = []

    def start() -> World:
        manager = app_on(migrated_url, clock)
        opened.append(manager)
        world = manager.__enter__()
        world.scheduler.start()
        return world

    yield start
    for manager in reversed(opened):
        manager.__exit__(None, None, None)


def completed(world: World, at: datetime, *, warned: datetime | None = None) -> int:
    """An exchange that was completed at some time, with all that can belong to one."""
    created = world.matched(world.clock.now() + timedelta(days=1))
    first, second, _ = world.participants(created)
    world.add(
        MagicToken(
            token_hash=f"hash {created}", participant_id=first.id, created_at=at,
            expires_at=at + timedelta(days=999),
        )
    )  # fmt: skip

    def store() -> None:
        db.session.add(
            Exclusion(exchange_id=created, participant_a=first.id, participant_b=second.id)
        )
        db.session.add(
            ReminderDelivery(
                exchange_id=created, days_before=1, due_at=at, participant_id=first.id, sent_at=at
            )
        )
        exchange = db.session.get_one(Exchange, created)
        exchanges.complete(exchange)
        exchange.completed_at, exchange.purge_warning_sent_at = at, warned

    world.do(store)
    return created


def is_well(scheduler: Scheduler) -> bool:
    return scheduler.health().ok


def exists(world: World, exchange: int) -> bool:
    return world.get(Exchange, exchange) is not None


def days(world: World, number: int) -> None:
    """Let so many daily purges happen."""
    for _ in range(number):
        now = world.clock.now()
        today = now.replace(hour=2, minute=0, second=0, microsecond=0)
        world.move_to(today if now < today else today + timedelta(days=1))


# ---------------------------------------------------------------------------------- start


def test_01_the_fixed_jobs_exist(world: World) -> None:
    """Each with its trigger, in UTC, as the specification names it."""
    stored = {job.id: job.trigger for job in world.scheduler.jobs()}
    assert stored == FIXED
    assert world.job("purge_old_exchanges").next_fire_at == instant("2026-11-02T02:00Z")
    assert world.job("reconcile_reminders").next_fire_at == instant("2026-11-01T12:15Z")


def test_01_five_restarts_leave_one_of_each(started: Callable[..., World]) -> None:
    for _ in range(5):
        scheduler = started().scheduler
        wait_until(partial(is_well, scheduler))
        scheduler.stop()
    assert sorted(started().scheduler.job_ids()) == sorted(FIXED)


def test_17_a_restart_keeps_an_overdue_run(started: Callable[..., World]) -> None:
    """A daily and an hourly job that are overdue within their grace period run once."""
    world = started()
    world.scheduler.stop()
    due = instant("2026-11-02T02:00Z")
    world.clock.set(due + timedelta(seconds=299))
    back = started()
    done = wait_until(lambda: back.runs("purge_old_exchanges", state="succeeded"))
    assert [run.scheduled_for for run in done] == [due]
    back.scheduler.stop()
    again = started()
    wait_until(partial(is_well, again.scheduler))
    assert len(again.runs("purge_old_exchanges")) == 1


def test_17_a_restart_does_not_push_the_hourly_job_back(started: Callable[..., World]) -> None:
    world = started()
    due = world.job("cleanup_expired_tokens").next_fire_at
    world.scheduler.stop()
    world.clock.advance(minutes=50)
    assert started().job("cleanup_expired_tokens").next_fire_at == due


def test_18_two_applications_run_each_due_job_once(started: Callable[..., World]) -> None:
    """They share a database and a clock, and know nothing of each other."""
    one, other = started(), started()
    exchange = one.exchange("2026-12-01T18:00")
    one.match(exchange)
    for moment in ("2026-11-02T02:00Z", "2026-11-24T23:00Z"):
        one.clock.set(instant(moment))
        wait_until(lambda: not one.scheduler.runs(state=["scheduled", "ready", "running"]))
    wait_until(lambda: len(one.runs("mail_reminder", state="succeeded")) == 3)
    assert len(one.runs("send_reminders")) == 1
    assert len(one.runs("purge_old_exchanges", state="succeeded")) == 1
    sent = [mail.mail.subject for mail in one.post.sent + other.post.sent]
    assert sent.count("Office party is in 7 days") == len(one.participants(exchange))


def test_19_an_application_object_starts_no_scheduler(migrated_url: str) -> None:
    """Tests, shells and migrations create one, and do not serve."""
    with app_on(migrated_url, VirtualClock(), scheduler_enabled=True) as world:
        world.app.test_client().get("/health")
        assert world.scheduler.state == "stopped"
        assert world.scheduler.job_ids() == []


# ----------------------------------------------------------------------------- completion


def test_10_an_exchange_is_completed_after_its_local_day(world: World) -> None:
    """Not by the run at midnight in UTC, when it is 19:00 of its day in New York."""
    exchange = world.matched("2026-12-01T18:00")
    world.move_to("2026-12-02T00:00Z")
    assert world.state(exchange) == "MATCHED"
    world.move_to("2026-12-03T00:00Z")
    stored = world.get(Exchange, exchange)
    assert stored is not None
    assert (stored.state, stored.completed_at) == ("COMPLETED", world.clock.now())
    assert world.jobs_of(exchange) == {}
    assert world.run("auto_complete_exchanges").result == {"completed": 1, "failed": 0}


@pytest.mark.parametrize(
    ("timezone", "event", "state"),
    [
        ("Pacific/Kiritimati", "2026-11-02T13:59", "COMPLETED"),  # UTC+14: the day has just ended
        ("Pacific/Kiritimati", "2026-11-03T00:00", "MATCHED"),
        ("UTC", "2026-11-02T23:59", "COMPLETED"),
        ("UTC", "2026-11-03T00:00", "MATCHED"),
    ],
)
def test_10_the_local_day_decides(world: World, timezone: str, event: str, state: str) -> None:
    exchange = world.matched(event, timezone=timezone)
    world.move_to("2026-11-03T00:00Z")
    assert world.state(exchange) == state


def test_11_an_exchange_that_fails_leaves_the_others_completed(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is counted and logged, and nothing of it is stored."""
    first, second, third = (world.matched("2026-12-01T18:00") for _ in range(3))
    complete = exchanges.complete

    def failing(exchange: Exchange) -> None:
        complete(exchange)
        if exchange.id == second:
            raise RuntimeError("broken")

    monkeypatch.setattr(exchanges, "complete", failing)
    world.move_to("2026-12-03T00:00Z")
    assert list(map(world.state, (first, second, third))) == ["COMPLETED", "MATCHED", "COMPLETED"]
    assert world.run("auto_complete_exchanges").result == {"completed": 2, "failed": 1}
    assert f"item {second} failed: broken" in caplog.text
    assert world.get(Exchange, second).completed_at is None  # type: ignore[union-attr]


def test_11_an_exchange_that_changes_meanwhile_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found is checked again in the transaction that changes it."""
    first, second = (world.matched("2026-12-01T18:00") for _ in range(2))
    complete = exchanges.complete

    def meddling(exchange: Exchange) -> None:
        complete(exchange)
        exchanges.move(db.session.get_one(Exchange, second), "unmatch")

    monkeypatch.setattr(exchanges, "complete", meddling)
    world.move_to("2026-12-03T00:00Z")
    assert (world.state(first), world.state(second)) == ("COMPLETED", "REGISTRATION_CLOSED")


# ---------------------------------------------------------------------------------- purge


def test_12_one_warning_and_then_the_purge(world: World) -> None:
    """Completed 23 days ago: one mail, none on six days, and gone with all that belongs to it."""
    world.admin()
    day = instant("2026-11-10T02:00Z")
    exchange = completed(world, day - timedelta(days=23))
    world.set_clock(day - timedelta(hours=1))
    days(world, 1)
    [warning] = world.mails()
    assert warning.to == "admin@example.com"
    assert warning.mail.subject == "Office party will be deleted on 17 November 2026"
    days(world, 6)
    assert world.mails() == []
    assert exists(world, exchange)
    days(world, 1)
    for model in (Exchange, Participant, Match, Exclusion, MagicToken, ReminderDelivery):
        assert world.rows(model) == [], model
    assert world.scheduler.job_ids(tag="reminders") == []
    assert world.run("purge_old_exchanges").result == {"to_warn": 0, "purged": 1, "failed": 0}


def test_12_no_warning_before_23_days(world: World) -> None:
    world.admin()
    day = instant("2026-11-10T02:00Z")
    completed(world, day - timedelta(days=23) + timedelta(seconds=1))
    world.move_to(day)
    assert world.mails() == []
    days(world, 1)
    assert len(world.mails()) == 1


def test_12_what_is_deleted_is_logged_before(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """With the numbers of rows, and without anybody's name or address."""
    now = world.clock.now()
    exchange = completed(world, now - timedelta(days=31), warned=now - timedelta(days=8))
    with caplog.at_level(logging.INFO):
        days(world, 1)
    assert f"Deleting exchange {exchange} (Office party) with {{'participant': 3, 'match': 3, " \
        "'exclusion': 1, 'reminder_delivery': 1, 'magic_token': 1}" in caplog.text  # fmt: skip
    assert "@" not in caplog.text
    assert "Person" not in caplog.text


def test_13_down_when_the_warning_was_due(world: World) -> None:
    """Back after 31 days: warned then, and deleted seven days after that."""
    world.admin()
    exchange = completed(world, world.clock.now() - timedelta(days=31))
    days(world, 1)
    assert len(world.mails()) == 1
    days(world, 6)
    assert exists(world, exchange)
    days(world, 1)
    assert not exists(world, exchange)
    assert world.mails() == []


def test_13_no_purge_without_a_warning_that_was_accepted(world: World) -> None:
    """While the mail server refuses it, each daily run tries again, and nothing is deleted."""
    world.admin()
    exchange = completed(world, world.clock.now() - timedelta(days=31))
    world.post.refused = {"admin@example.com"}
    days(world, 10)
    assert [run.state for run in world.runs("mail_purge_warning")] == ["failed"] * 10
    assert exists(world, exchange)
    world.post.refused = set()
    days(world, 1)
    assert [mail.mail.subject for mail in world.mails()] == [
        "Office party will be deleted on 19 November 2026"
    ]
    days(world, 6)
    assert exists(world, exchange)
    days(world, 1)
    assert not exists(world, exchange)


def test_13_a_warning_that_was_held_up_counts_from_when_it_was_sent(world: World) -> None:
    """Down with the mail under way: the seven days begin when it leaves."""
    world.admin()
    exchange = completed(world, world.clock.now() - timedelta(days=31))
    world.post.down = True
    world.move_to("2026-11-02T02:00Z")
    world.post.down = False
    world.move_to("2026-11-06T10:00Z")
    [warning] = world.mails()
    assert warning.mail.subject == "Office party will be deleted on 13 November 2026"
    days(world, 6)
    assert exists(world, exchange)
    days(world, 1)
    assert not exists(world, exchange)


def test_13_without_an_admin_nothing_is_deleted(world: World) -> None:
    exchange = completed(world, world.clock.now() - timedelta(days=31))
    days(world, 9)
    assert exists(world, exchange)


def test_13_an_admin_who_is_refused_stops_no_other(world: World) -> None:
    """One warning that was accepted is enough, and it is sent once."""
    world.admin("gone@example.com")
    world.admin("otto@example.com")
    world.post.refused = {"gone@example.com"}
    exchange = completed(world, world.clock.now() - timedelta(days=31))
    days(world, 8)
    assert [mail.to for mail in world.mails()] == ["otto@example.com"]
    assert not exists(world, exchange)


def test_14_a_failing_purge_rolls_back_wholly(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next exchange is purged all the same, and the first one the next day."""
    now = world.clock.now()
    old, warned = now - timedelta(days=31), now - timedelta(days=8)
    first, second = (completed(world, old, warned=warned) for _ in range(2))
    delete = exchanges.delete_exchange

    def failing(exchange: Exchange) -> None:
        delete(exchange)
        if exchange.id == first:
            raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(exchanges, "delete_exchange", failing)
        days(world, 1)
    assert (exists(world, first), exists(world, second)) == (True, False)
    assert len(world.participants(first)) == 3
    assert len(world.receivers(first)) == 3
    assert world.run("purge_old_exchanges").result == {"to_warn": 0, "purged": 1, "failed": 1}
    days(world, 1)
    assert not exists(world, first)


# ------------------------------------------------------------------------------ clean-ups


def test_15_tokens(world: World) -> None:
    """Expired ones go, and those that were used a day ago."""
    person = world.participants(world.exchange("2026-12-01T18:00"))[0].id
    now = instant("2026-11-01T13:00Z")

    def token(name: str, expires: timedelta, used: timedelta | None = None) -> MagicToken:
        return MagicToken(
            token_hash=name, participant_id=person, created_at=now, expires_at=now + expires,
            used_at=None if used is None else now - used,
        )  # fmt: skip

    second, hour = timedelta(seconds=1), timedelta(hours=1)
    world.add_all(
        token("expired", -second), token("expires now", 0 * second), token("valid", second),
        token("used", hour, 23 * hour), token("used a day ago", hour, 24 * hour),
        token("used nearly a day ago", hour, 24 * hour - second),
    )  # fmt: skip
    world.move_to(now)
    left = {each.token_hash for each in world.rows(MagicToken)}
    assert left == {"valid", "used", "used nearly a day ago"}
    assert world.run("cleanup_expired_tokens").result == {"deleted": 3}


def test_16_sessions_and_rate_limits(world: World) -> None:
    """Rows that expire exactly now are deleted, later ones stay."""
    for task, at in (
        ("cleanup_expired_sessions", "2026-11-02T03:00Z"),
        ("cleanup_expired_rate_limits", "2026-11-02T04:00Z"),
    ):
        now = instant(at)
        for name, expires in (("now", now), ("later", now + timedelta(microseconds=1))):
            world.do(store_expiring, task, name, expires)
        world.move_to(now)
        assert world.run(task).result == {"deleted": 1}
    assert [each.id for each in world.rows(BrowserSession)] == ["later"]
    with world.app.app_context():
        assert db.session.scalars(db.select(RATE_LIMITS.c.id)).all() == ["later"]


def store_expiring(task: str, name: str, expires: datetime) -> None:
    if task == "cleanup_expired_sessions":
        db.session.add(BrowserSession(id=name, data="{}", expires_at=expires))
    else:
        microseconds = (expires - instant("1970-01-01T00:00Z")) // timedelta(microseconds=1)
        row = {"id": name, "attempts": "[]", "expires_at": microseconds}
        db.session.execute(RATE_LIMITS.insert().values(row))


def test_16_many_rows_are_deleted_in_short_transactions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "_AT_ONCE", 10)
    past = world.clock.now()
    rows = [BrowserSession(id=str(n), data="{}", expires_at=past) for n in range(25)]
    world.do(lambda: db.session.add_all(rows))
    commits: list[object] = []
    with world.app.app_context():
        event.listen(db.engine, "commit", commits.append)
    world.move_to("2026-11-02T03:00Z")
    assert world.run("cleanup_expired_sessions").result == {"deleted": 25}
    assert len(commits) == 3


# ------------------------------------------------------------------------------- failures


def test_20_an_error_is_recorded_and_stops_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is tried again, ends as failed with its message, and the admin is told."""
    world.admin()
    exchange = world.matched("2026-12-01T18:00")
    monkeypatch.setattr(exchanges, "day_is_over", lambda *_: 1 / 0)
    world.move_to("2026-12-03T00:00Z")
    world.pass_for(minutes=5)
    failed = world.run("auto_complete_exchanges")
    assert (failed.state, failed.attempt) == ("failed", 3)
    assert (failed.error_type, failed.error_message) == ("ZeroDivisionError", "division by zero")
    world.move_to("2026-12-03T02:00Z")
    assert world.run("purge_old_exchanges").state == "succeeded"
    world.scheduler.send_notices()
    [notice] = [mail for mail in world.mails() if mail.to == "admin@example.com"]
    assert notice.mail.subject == "Job auto_complete_exchanges failed"
    assert world.state(exchange) == "MATCHED"


def test_20_a_failing_notice_is_not_told_by_another_notice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a mail server that is down would cause a new mail every hour."""
    world.admin()
    world.post.refused = {"admin@example.com"}
    monkeypatch.setattr(exchanges, "day_is_over", lambda *_: 1 / 0)
    world.matched("2026-12-01T18:00")
    world.move_to("2026-12-03T00:00Z")
    world.pass_for(minutes=5)
    for _ in range(3):
        world.scheduler.send_notices()
        world.forward(hours=2)
    assert [run.state for run in world.runs("mail_notice")] == ["failed"]


def test_20_each_job_logs_its_start_and_its_end(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """With what it has counted; a failure is logged with its traceback by Duly."""
    world.matched("2026-12-01T18:00", days=(7,))
    with caplog.at_level(logging.INFO, "apps.logs"):
        world.move_to("2026-11-24T23:00Z")
        world.move_to("2026-12-03T00:00Z")
    for line in (
        "Started, attempt 1.", "Ended: enqueued 3, skipped 0.", "Ended: completed 1, ok 1.",
    ):  # fmt: skip
        assert line in caplog.messages


def test_20_errors_of_the_database_name_no_address(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The parameters of statements are not a part of messages."""
    exchange = world.exchange("2026-12-01T18:00")
    address = world.participants(exchange)[0].email
    with pytest.raises(Exception, match="UNIQUE") as error:
        world.add(
            Participant(
                exchange_id=exchange, name="Ana", email=address, created_at=world.clock.now()
            )
        )
    assert address not in str(error.value)


def test_24_no_worker_waits_for_the_mail_provider(world: World) -> None:
    """Down for a minute with 12 mails under way: all wait in the database, and all arrive."""
    world.matched("2026-12-01T18:00", people=12)
    world.post.down = True
    world.move_to("2026-11-24T23:00Z")
    for _ in range(6):
        world.forward(seconds=10)
        waiting = world.runs("mail_reminder")
        assert {run.state for run in waiting} == {"scheduled"}
        assert all(run.due_at > world.clock.now() for run in waiting)
    world.post.down = False
    world.pass_for(minutes=2)
    assert len(world.mails()) == 12
    assert {run.state for run in world.runs("mail_reminder")} == {"succeeded"}


def test_28_history_older_than_90_days_disappears(world: World) -> None:
    world.move_to("2026-11-02T02:00Z")
    [purge] = world.runs("purge_old_exchanges")
    assert purge.finished_at is not None
    world.move_to(purge.finished_at + timedelta(days=90) - timedelta(minutes=10))
    assert purge.id in {run.id for run in world.runs("purge_old_exchanges")}
    world.move_to(purge.finished_at + timedelta(days=90, hours=1))
    assert purge.id not in {run.id for run in world.runs("purge_old_exchanges")}
