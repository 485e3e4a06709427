"""Notices: what happens reaches the people whom rules name, once, and not too often."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from duly import Scheduler, VirtualClock, Watch, every
from duly.errors import (
    AddressRefused,
    ConfigurationError,
    DuplicateNoticeRule,
    NotDelivered,
    NoticeNotFound,
    NoticeRuleNotFound,
    StateError,
    UnknownOption,
)
from duly.model.notice_rule import KINDS
from duly.model.retention import KEEP_DEAD, KEEP_SENT
from duly.notify import Notice, QuietHours, email, notify, webhook
from duly.notify.outbox import LEASE, TRIES, Outbox
from duly.notify.sender import Sender
from duly.store.notices import WAITS_FOR
from duly.worker.pruning import prune
from tests.operations.conftest import START, Make, with_tasks
from tests.support.waiting import wait_until

SECRET = "a secret of 16 bytes or more"


class Inbox:
    """A channel that keeps what it is sent, or fails while ``trouble`` is set."""

    def __init__(self, name: str = "inbox") -> None:
        self.name = name
        self.notices: list[Notice] = []
        self.trouble: Exception | None = None

    def send(self, notice: Notice) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.notices.append(notice)

    @property
    def titles(self) -> list[str]:
        return [notice.title for notice in self.notices]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def fail(scheduler: Scheduler, times: int = 1, task: str = "fail", **options: Any) -> None:
    """Let runs of a task fail."""
    for _ in range(times):
        scheduler.enqueue(task, **options)
    scheduler.tick()


def record(scheduler: Scheduler, kind: str, **facts: Any) -> None:
    """Record an event as the worker does."""
    with scheduler.store.write() as tx:
        tx.record(kind, **facts)


def outbox_rows(scheduler: Scheduler) -> int:
    with scheduler.store.read() as conn:
        count: int = conn.execute(text("select count(*) from duly_notice_item")).scalar_one()
    return count


def kinds(scheduler: Scheduler, prefix: str = "notice.") -> list[str]:
    return [each.kind for each in scheduler.events(limit=1000) if each.kind.startswith(prefix)]


# ------------------------------------------------------------------------------ events


def test_a_failed_run_is_told_to_the_recipients_of_a_rule(
    scheduler: Scheduler, inbox: Inbox
) -> None:
    """Once, with the error; sending is recorded in the audit trail."""
    scheduler.notify(inbox, on=["run.failed"], name="failures")
    run_id = scheduler.enqueue("fail")
    scheduler.tick()
    assert scheduler.send_notices() == 1
    assert scheduler.send_notices() == 0
    [notice] = inbox.notices
    assert (notice.title, notice.rule, notice.subject) == (
        "Task fail failed", "failures", "task:fail",
    )  # fmt: skip
    [happening] = notice.happenings
    assert (happening.run, happening.task, happening.queue) == (run_id, "fail", "default")
    assert "RuntimeError: it failed" in notice.text
    [stored] = scheduler.notices()
    assert (stored.id, stored.state, stored.to, stored.attempts) == (notice.id, "sent", "inbox", 0)
    [sent] = scheduler.events(kind="notice.sent")
    assert sent.detail["notice"] == notice.id


def test_only_the_last_attempt_counts_as_a_failure(make: Make, clock: VirtualClock) -> None:
    """A run that is tried again is no failed run yet."""
    scheduler, inbox = make(), Inbox()

    @scheduler.task(retry=2)
    def flaky() -> None:
        raise RuntimeError

    scheduler.notify(inbox, on=["run.failed"])
    fail(scheduler, task="flaky")
    assert scheduler.send_notices() == 0
    clock.advance(hours=1)
    scheduler.tick()
    assert scheduler.send_notices() == 1


def test_a_function_is_a_channel(make: Make) -> None:
    """Given as it is, or by ``notify`` under another name."""
    scheduler, seen = with_tasks(make()), list[Notice]()

    def remember(notice: Notice) -> None:
        seen.append(notice)

    scheduler.notify(remember, notify(seen.append, name="list"), on=["run.failed"])
    fail(scheduler)
    assert scheduler.send_notices() == 2
    assert sorted(notice.to for notice in scheduler.notices()) == ["list", "remember"]
    assert len({notice.id for notice in seen}) == 2


def test_every_kind_that_a_rule_can_name_reaches_people(scheduler: Scheduler) -> None:
    """Each event in its own words."""
    inboxes = {kind: Inbox(kind) for kind in KINDS}
    for kind, inbox in inboxes.items():
        alarm = {"job.recovered": ["job.failing"], "scheduler.started": ["scheduler.stopped"]}
        scheduler.notify(inbox, on=[kind, *alarm.get(kind, [])])
    scheduler.add("work", every(hours=1), id="nightly")
    scheduler.tick()
    fail(scheduler)
    for kind in ("run.missed", "run.late", "run.overrun", "job.failing", "job.recovered"):
        record(scheduler, kind, job_id="nightly", reason="so it is")
    record(scheduler, "worker.lost", worker_id=None, host="web-1", pid=1, runs=0)
    scheduler.stop_all(reason="repairs")
    scheduler.start_all()
    scheduler.send_notices()
    assert {kind: inbox.titles[-1] for kind, inbox in inboxes.items()} == {
        "run.failed": "Task fail failed",
        "run.missed": "Job nightly missed its time",
        "run.late": "Job nightly is late",
        "run.overrun": "Job nightly takes too long",
        "job.failing": "Job nightly keeps failing",
        "job.recovered": "Job nightly has recovered",
        "worker.lost": "A worker was lost",
        "scheduler.stopped": "The scheduler was switched off",
        "scheduler.started": "The scheduler was switched on again",
        "dead_letters.grew": "There are new dead letters",
    }


def test_a_watched_job_raises_an_alarm_and_its_recovery(
    make: Make, clock: VirtualClock, inbox: Inbox
) -> None:
    """From the watch rules of the job itself, and one recovery for one alarm."""
    scheduler, works = make(), threading.Event()

    @scheduler.job(every(minutes=1), id="import", watch=Watch(failing_after=2))
    def import_all() -> None:
        if not works.is_set():
            raise RuntimeError("no file")

    scheduler.notify(inbox, on=["job.failing", "job.recovered"])
    for _ in range(4):
        scheduler.tick()
        clock.advance(minutes=1)
    scheduler.tick()
    scheduler.send_notices()
    assert inbox.titles == ["Job import keeps failing"]
    works.set()
    for _ in range(4):
        clock.advance(minutes=1)
        scheduler.tick()
    scheduler.send_notices()
    assert inbox.titles == ["Job import keeps failing", "Job import has recovered"]
    assert inbox.notices[1].is_recovery


def test_a_rule_can_be_limited_to_some_jobs(make: Make) -> None:
    """By job, tag, task and queue; all conditions must be met."""
    scheduler = with_tasks(make(queues={"default": 5, "slow": 5}))
    matching: dict[str, Any] = {
        "job": {"jobs": ["a"]},
        "tag": {"tags": ["billing", "other"]},
        "task": {"tasks": ["fail"]},
        "queue": {"queues": ["slow"]},
        "both": {"tags": ["billing"], "queues": ["slow"]},
    }
    inboxes = {name: Inbox(name) for name in matching}
    for name, conditions in matching.items():
        scheduler.notify(inboxes[name], on=["run.failed"], **conditions)
    scheduler.add("fail", every(hours=1), id="a", tags=["billing"])
    scheduler.add("fail", every(hours=1), id="b", queue="slow")
    for job_id in "ab":
        scheduler.run_now(job_id)
    scheduler.tick()
    scheduler.send_notices()
    subjects = {
        name: sorted(notice.subject for notice in inbox.notices) for name, inbox in inboxes.items()
    }
    assert subjects == {
        "job": ["job:a"], "tag": ["job:a"], "task": ["job:a", "job:b"], "queue": ["job:b"],
        "both": [],
    }  # fmt: skip


def test_a_notice_exists_only_if_its_event_does(scheduler: Scheduler, inbox: Inbox) -> None:
    """It is written in the event's own transaction: the host's too."""
    scheduler.notify(inbox, on=["scheduler.stopped"])
    scheduler.tick()
    engine = create_engine(scheduler.store.url)
    with engine.connect() as conn:
        scheduler.stop_all(session=conn)
        assert conn.execute(text("select count(*) from duly_notice_item")).scalar() == 1
        conn.rollback()
    engine.dispose()
    assert scheduler.send_notices() == 0
    scheduler.stop_all()
    assert scheduler.send_notices() == 1


def test_without_rules_nothing_is_asked_or_written(make: Make, clock: VirtualClock) -> None:
    """Runs that succeed cost no statement more; a failed one asks for rules every 10 s at most."""
    scheduler = with_tasks(make())
    scheduler.tick()
    seen = list[str]()
    event.listen(
        scheduler.store.engine,
        "before_cursor_execute",
        lambda _conn, _cursor, statement, *_: seen.append(statement),
    )

    def about_notices(times: int, task: str) -> int:
        seen.clear()
        for _ in range(times):
            scheduler.enqueue(task)
            scheduler.tick()
        assert seen
        return len([statement for statement in seen if "duly_notice" in statement])

    assert about_notices(3, "work") == 0
    assert about_notices(3, "fail") == 1
    clock.advance(seconds=11)
    assert about_notices(3, "fail") == 1
    assert outbox_rows(scheduler) == 0


def test_secrets_in_errors_reach_nobody(make: Make, inbox: Inbox) -> None:
    """Values named like secrets are hidden before they are stored."""
    scheduler = make()

    @scheduler.task()
    def sign_in() -> None:
        raise RuntimeError("refused: password=canary-4711")

    scheduler.notify(inbox, on=["run.failed"])
    fail(scheduler, task="sign_in")
    with scheduler.store.read() as conn:
        stored = conn.execute(text("select content from duly_notice_item")).scalar_one()
    assert "refused" in stored
    assert "canary" not in stored
    scheduler.send_notices()
    assert "canary" not in inbox.notices[0].text


# ------------------------------------------------------------------------------ how often


def test_a_throttle_gathers_what_happens_meanwhile(
    scheduler: Scheduler, clock: VirtualClock, inbox: Inbox
) -> None:
    """One notice at once, and one digest when the time is over; each subject has its own."""
    scheduler.notify(inbox, on=["run.failed"], every=3600)
    fail(scheduler)
    scheduler.send_notices()
    fail(scheduler, 30)
    scheduler.add("fail", every(days=1), id="other")
    scheduler.run_now("other")
    scheduler.tick()
    scheduler.send_notices()
    assert [notice.subject for notice in inbox.notices] == ["task:fail", "job:other"]
    clock.advance(minutes=59)
    assert scheduler.send_notices() == 0
    clock.advance(minutes=1)
    assert scheduler.send_notices() == 1
    digest = inbox.notices[-1]
    assert digest.title == "Task fail failed (30 events)"
    assert (len(digest.happenings), digest.more) == (20, 10)
    clock.advance(hours=2)
    assert scheduler.send_notices() == 0


def test_an_alarm_that_was_not_sent_has_no_recovery_of_its_own(
    scheduler: Scheduler, clock: VirtualClock, inbox: Inbox
) -> None:
    """Its digest tells both; a recovery without any alarm is not told."""
    scheduler.notify(inbox, on=["job.failing", "job.recovered"], every=3600)
    scheduler.add("work", every(days=1), id="a")
    scheduler.tick()
    record(scheduler, "job.recovered", job_id="a")
    assert scheduler.send_notices() == 0
    for kind in ("job.failing", "job.recovered"):  # told at once
        record(scheduler, kind, job_id="a")
        scheduler.send_notices()
    for kind in ("job.failing", "job.recovered"):  # within the hour
        record(scheduler, kind, job_id="a")
        scheduler.send_notices()
    assert inbox.titles == ["Job a keeps failing", "Job a has recovered"]
    clock.advance(hours=1)
    scheduler.send_notices()
    assert inbox.titles[2:] == ["Job a has recovered (2 events)"]
    assert outbox_rows(scheduler) == 0


def test_quiet_hours_hold_back_what_is_not_urgent(
    scheduler: Scheduler, clock: VirtualClock, inbox: Inbox
) -> None:
    """Until they end, in their own zone; what is urgent passes."""
    clock.set(START + timedelta(hours=21, minutes=30))  # 22:30 in Madrid
    quiet = QuietHours("22:00", "07:00", timezone="Europe/Madrid")
    scheduler.notify(
        inbox, on=["run.failed", "scheduler.stopped"], quiet=quiet, urgent=["scheduler.stopped"]
    )
    fail(scheduler, 2)
    scheduler.stop_all()
    scheduler.send_notices()
    assert inbox.titles == ["The scheduler was switched off"]
    clock.set(START + timedelta(days=1, hours=5, minutes=59))
    assert scheduler.send_notices() == 0
    clock.set(START + timedelta(days=1, hours=6))
    assert scheduler.send_notices() == 2


def test_a_storm_becomes_one_notice(scheduler: Scheduler, inbox: Inbox) -> None:
    """A rule without a throttle tells a hundred waiting events together."""
    scheduler.notify(inbox, on=["dead_letters.grew"])
    scheduler.tick()
    with scheduler.store.write() as tx:
        for _ in range(99):
            tx.record("run.failed")
    assert scheduler.send_notices() == 99
    with scheduler.store.write() as tx:
        for _ in range(100):
            tx.record("run.failed")
    assert scheduler.send_notices() == 1
    assert inbox.notices[-1].title == "There are new dead letters (100 events)"


# ------------------------------------------------------------------------------ delivery


def test_a_channel_that_is_away_delays_its_notices_and_loses_none(
    scheduler: Scheduler, clock: VirtualClock, inbox: Inbox
) -> None:
    """One try for all of them at a time, with growing pauses; the oldest is sent first."""
    other = Inbox("other")
    scheduler.notify(inbox, other, on=["run.failed"])
    inbox.trouble = NotDelivered("nobody answers", away=True)
    fail(scheduler, 50)
    assert scheduler.send_notices() == 50  # to the other channel
    assert kinds(scheduler).count("notice.failed") == 1
    for pause in (5, 10, 20, 40):
        clock.advance(seconds=pause - 1)
        scheduler.send_notices()
        before = kinds(scheduler).count("notice.failed")
        clock.advance(seconds=1)
        scheduler.send_notices()
        assert kinds(scheduler).count("notice.failed") == before + 1
    inbox.trouble = None
    clock.advance(seconds=80)
    assert scheduler.send_notices() == 50
    assert len({notice.id for notice in inbox.notices}) == 50
    ids = [notice.id for notice in inbox.notices]
    assert ids == sorted(ids)
    assert len(other.notices) == 50


def test_a_notice_that_fails_again_and_again_is_given_up_and_shown(
    scheduler: Scheduler, clock: VirtualClock, inbox: Inbox
) -> None:
    """Health reports it, and a retry sends it with the same id."""
    scheduler.notify(inbox, on=["run.failed"])
    inbox.trouble = RuntimeError("a bug with a secret in its text")
    fail(scheduler)
    for _ in range(TRIES):
        scheduler.send_notices()
        clock.advance(hours=1)
    [dead] = scheduler.notices(state="dead")
    assert (dead.attempts, dead.error) == (TRIES, "RuntimeError")
    assert kinds(scheduler) == ["notice.failed"] * (TRIES - 1) + ["notice.dead"]
    assert "1 notice was given up unsent" in str(scheduler.health().problems)
    inbox.trouble = None
    retried = scheduler.retry_notice(dead.id, actor="ana")
    assert (retried.state, retried.attempts) == ("pending", 0)
    assert scheduler.send_notices() == 1
    assert inbox.notices[0].id == dead.id
    assert "given up" not in str(scheduler.health().problems)
    with pytest.raises(StateError, match="has been sent already"):
        scheduler.retry_notice(dead.id)
    with pytest.raises(NoticeNotFound):
        scheduler.retry_notice("no-such-notice")


def test_a_final_refusal_is_not_tried_again(scheduler: Scheduler, inbox: Inbox) -> None:
    """The mailbox does not exist: it is given up at once, with the reason."""
    scheduler.notify(inbox, on=["run.failed"])
    inbox.trouble = NotDelivered("no such mailbox", final=True)
    fail(scheduler)
    scheduler.send_notices()
    [dead] = scheduler.notices()
    assert (dead.state, dead.error) == ("dead", "no such mailbox")


def test_what_a_killed_process_was_sending_is_sent_by_another(
    make: Make, clock: VirtualClock
) -> None:
    """After the lease, with the same id; before that, no second process sends it."""

    class Killed(BaseException):
        pass

    first, second = with_tasks(make()), with_tasks(make())
    began = list[Notice]()

    def die(notice: Notice) -> None:
        began.append(notice)
        raise Killed

    inbox = Inbox("mail")
    first.notify(notify(die, name="mail"), on=["run.failed"])
    second.notify(inbox, on=["run.failed"])
    fail(first)
    with pytest.raises(Killed):
        first.send_notices()
    assert second.send_notices() == 0
    clock.advance(LEASE.total_seconds() - 1)
    assert second.send_notices() == 0
    clock.advance(1)
    assert second.send_notices() == 1
    assert [notice.id for notice in inbox.notices] == [notice.id for notice in began]


def test_a_process_that_sent_too_slowly_does_not_undo_what_another_did(
    make: Make, clock: VirtualClock
) -> None:
    """Its claim has ended: the notice stays sent, although its own try failed."""
    first, second = with_tasks(make()), with_tasks(make())
    inbox = Inbox("mail")
    second.notify(inbox, on=["run.failed"], name="r")

    def hang(_notice: Notice) -> None:
        clock.advance(LEASE.total_seconds())
        assert second.send_notices() == 1
        raise RuntimeError

    first.notify(notify(hang, name="mail"), on=["run.failed"], name="r")
    fail(first)
    first.send_notices()
    [stored] = first.notices()
    assert (stored.state, stored.attempts, len(inbox.notices)) == ("sent", 0, 1)
    assert kinds(first) == ["notice.sent"]


def test_a_started_scheduler_sends_by_itself(prepared_database_url: str) -> None:
    """In a thread of its own, soon after the commit."""
    scheduler = with_tasks(Scheduler(prepared_database_url))
    sent = threading.Event()

    def tell(_notice: Notice) -> None:
        assert threading.current_thread().name == "duly-notify"
        sent.set()

    scheduler.notify(tell, on=["run.failed"])
    with scheduler.running():
        scheduler.enqueue("fail")
        assert sent.wait(60)
    assert "duly-notify" not in {thread.name for thread in threading.enumerate()}


def test_a_platform_that_freezes_processes_sends_with_its_ticks(
    scheduler: Scheduler, inbox: Inbox
) -> None:
    """``run_due`` does what the thread would do."""
    scheduler.notify(inbox, on=["run.failed"])
    scheduler.enqueue("fail")
    scheduler.run_due()
    assert len(inbox.notices) == 1


def test_the_thread_survives_errors(
    scheduler: Scheduler, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the database, or of anything else, ends one look and not the thread."""
    scheduler.notify(inbox, on=["run.failed"])
    fail(scheduler)
    route, errors = Outbox.route, iter([RuntimeError("first")])

    def failing(self: Outbox) -> None:
        for error in errors:
            raise error
        route(self)

    monkeypatch.setattr(Outbox, "route", failing)
    outbox = Outbox(scheduler.store, lambda: {"inbox": lambda _address: inbox})
    sender = Sender(scheduler.store, outbox)
    sender.start()

    def arrived() -> bool:
        sender.wake()
        return bool(inbox.notices)

    try:
        wait_until(arrived, timeout=60)
    finally:
        sender.stop()
    assert len(inbox.notices) == 1


def test_notices_of_unknown_channels_wait_and_are_reported(
    scheduler: Scheduler, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a process knows the channel; after a week they are given up."""
    monkeypatch.delenv("DULY_SMTP_URL", raising=False)
    scheduler.tick()
    scheduler.add_notice_rule("mail", on=["run.failed"], to=["ops@example.com", "pager"])
    fail(scheduler)
    assert scheduler.send_notices() == 0
    clock.advance(minutes=3)
    [problem] = [each for each in scheduler.health().problems if each.check == "notices"]
    assert problem.text.startswith("2 notices wait for a process that can send them: email, pager")
    inbox = Inbox("pager")
    scheduler.notify(inbox, on=["run.failed"])
    assert scheduler.send_notices() == 1
    clock.advance(WAITS_FOR.total_seconds() + 1)
    prune(scheduler.store)
    [dead] = scheduler.notices(state="dead")
    assert (dead.to, "no process" in str(dead.error)) == ("ops@example.com", True)


def test_old_notices_are_deleted(scheduler: Scheduler, clock: VirtualClock, inbox: Inbox) -> None:
    """What was sent after 30 days, what was given up after 90; and what is known of subjects."""
    scheduler.notify(inbox, on=["run.failed"])
    fail(scheduler)
    scheduler.send_notices()
    inbox.trouble = NotDelivered("no", final=True)
    fail(scheduler)
    scheduler.send_notices()
    clock.advance(KEEP_SENT.total_seconds() + 1)
    prune(scheduler.store)
    assert [notice.state for notice in scheduler.notices()] == ["dead"]
    clock.advance(KEEP_DEAD.total_seconds() + 1)
    prune(scheduler.store)
    assert scheduler.notices() == []
    with scheduler.store.read() as conn:
        assert conn.execute(text("select count(*) from duly_notice_subject")).scalar() == 0


# ------------------------------------------------------------------------------ refused targets


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/hook", "http://169.254.169.254/latest/meta-data", "http://[::1]/"]
)
def test_a_webhook_to_a_private_address_cannot_be_configured(
    scheduler: Scheduler, url: str
) -> None:
    """Neither in code nor by a call; nothing is stored."""
    with pytest.raises(AddressRefused, match="is not a public address"):
        webhook(url, secret=SECRET)
    scheduler.tick()
    with pytest.raises(AddressRefused, match="is not a public address"):
        scheduler.add_notice_rule("hook", on=["run.failed"], to=[url])
    with pytest.raises(AddressRefused, match="is not a public address"):
        scheduler.send_test_notice(url)
    assert scheduler.notice_rules() == []
    assert scheduler.notices() == []


def test_a_name_that_resolves_to_a_private_address_is_refused_in_the_audit_trail(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is looked up when the notice is sent, and the reason is recorded."""
    resolve = socket.getaddrinfo

    def resolve_hooks(host: Any, *args: Any, **options: Any) -> Any:
        if host == "hooks.example.com":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]
        return resolve(host, *args, **options)

    monkeypatch.setattr("socket.getaddrinfo", resolve_hooks)
    monkeypatch.setenv("DULY_WEBHOOK_SECRET", SECRET)
    scheduler.tick()
    url = "https://hooks.example.com/secret-path"
    scheduler.add_notice_rule("hook", on=["run.failed"], to=[url])
    fail(scheduler)
    scheduler.send_notices()
    [refused] = scheduler.events(kind="notice.refused")
    assert refused.detail["reason"] == (
        "10.0.0.1, an address of hooks.example.com, is not a public address"
    )
    [dead] = scheduler.notices()
    assert (dead.state, dead.to_dict()["to"]) == ("dead", "https://hooks.example.com/…")


# ------------------------------------------------------------------------------ rules


def test_rules_in_code_replace_those_that_it_declared_before(make: Make) -> None:
    """At the start; rules of other applications, and those added by calls, stay."""
    first, inbox = with_tasks(make(name="shop")), Inbox()
    first.notify(inbox, on=["run.failed"], name="old")
    first.notify(inbox, on=["run.missed"], name="kept")
    first.tick()
    first.add_notice_rule("by-hand", on=["run.failed"], to=["pager"], actor="ana")
    other = make(name="crm")
    other.notify(inbox, on=["worker.lost"], name="old")
    other.tick()
    second = make(name="shop")
    second.notify(inbox, on=["run.late"], name="kept")
    second.tick()
    make(name="shop").tick()  # declares none, as a process of the command line
    rules = {(rule.app, rule.name): rule for rule in second.notice_rules()}
    assert set(rules) == {("", "by-hand"), ("crm", "old"), ("shop", "kept")}
    assert rules["shop", "kept"].on == ("run.late",)
    assert rules["", "by-hand"].created_by == "ana"
    assert rules["", "by-hand"].created_at == START


def test_an_older_version_leaves_the_rules_of_a_newer_one(make: Make) -> None:
    """As for jobs: a process that has not been replaced yet does not undo a deployment."""
    new, old = make(version=2), make(version=1)
    new.notify(Inbox(), on=["run.late"], name="r")
    new.tick()
    old.notify(Inbox(), on=["run.failed"], name="r")
    old.tick()
    assert [rule.on for rule in new.notice_rules()] == [("run.late",)]


def test_a_rule_added_by_a_call_holds_in_other_processes(
    make: Make, clock: VirtualClock, inbox: Inbox
) -> None:
    """Within 10 seconds; and no longer once it is removed, with what it held back."""
    first, second = with_tasks(make()), make()
    first.notify(inbox, on=["scheduler.stopped"])
    fail(first)  # it has read the rules just now
    second.add_notice_rule("late", on=["run.failed"], to=["inbox"], every=60, actor="ana")
    clock.advance(seconds=10)
    fail(first, 2)
    assert first.send_notices() == 1
    fail(first)
    assert outbox_rows(first) == 1
    second.remove_notice_rule("late", actor="bob")
    clock.advance(seconds=61)
    assert first.send_notices() == 0
    fail(first)
    assert outbox_rows(first) == 0
    trail = [(each.kind, each.actor) for each in first.events() if "notice_rule" in each.kind]
    assert trail[-2:] == [("notice_rule.added", "ana"), ("notice_rule.removed", "bob")]
    with pytest.raises(NoticeRuleNotFound):
        second.remove_notice_rule("late")


def test_a_name_is_given_once(scheduler: Scheduler, inbox: Inbox) -> None:
    """To a stored rule, to a declared one, and to a channel."""
    scheduler.tick()
    scheduler.add_notice_rule("a", on=["run.failed"], to=["pager"])
    with pytest.raises(DuplicateNoticeRule):
        scheduler.add_notice_rule("a", on=["run.failed"], to=["pager"])
    scheduler.notify(inbox, on=["run.failed"], name="r")
    scheduler.notify(inbox, on=["run.failed"], name="r")
    with pytest.raises(ConfigurationError, match="another notice rule is named 'r'"):
        scheduler.notify(inbox, on=["run.late"], name="r")
    with pytest.raises(ConfigurationError, match="another channel is named 'inbox'"):
        scheduler.notify(Inbox(), on=["run.late"])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"on": []}, "names no event"),
        ({"on": ["run.succeeded"]}, "unknown option 'run.succeeded'"),
        ({"on": "run.failed"}, "on is 'run.failed'; it must be a list"),
        ({"on": ["job.recovered"]}, "tells the end of an alarm"),
        ({"to": []}, "names no recipient"),
        ({"to": ["x" * 501]}, "1 to 500 characters"),
        ({"to": ["a\nb"]}, "a channel's name"),
        ({"every": -1}, "every is -1"),
        ({"every": 1e9}, "at most 31 days"),
        ({"quiet": "night"}, "quiet is 'night'"),
        ({"tags": [""]}, "printable characters"),
        ({"tags": ["x"] * 101}, "at most 100"),
        ({"urgent": ["nonsense"]}, "unknown option 'nonsense'"),
        ({"jbos": ["a"]}, "did you mean 'jobs'"),
        ({"name": ""}, "name is ''"),
    ],
)
def test_bad_rules_are_refused(scheduler: Scheduler, given: dict[str, Any], error: str) -> None:
    """With what is wrong, and nothing is stored."""
    scheduler.tick()
    values: dict[str, Any] = {"name": "r", "on": ["run.failed"], "to": ["pager"], **given}
    with pytest.raises((ConfigurationError, UnknownOption), match=error):
        scheduler.add_notice_rule(values.pop("name"), **values)
    assert scheduler.notice_rules() == []


def test_a_test_notice_takes_the_way_of_all_others(scheduler: Scheduler, inbox: Inbox) -> None:
    """Through the outbox, which shows what becomes of it."""
    scheduler.notify(inbox, email("ops@example.com"), on=["run.failed"])
    scheduler.tick()
    pending = scheduler.send_test_notice("inbox", actor="ana")
    assert (pending.state, pending.to, pending.title) == (
        "pending", "inbox", "This is a test of the notices of Duly",
    )  # fmt: skip
    scheduler.send_notices()
    assert scheduler.notice(pending.id).state == "sent"
    with pytest.raises(NoticeNotFound):
        scheduler.notice("00000000-0000-7000-8000-000000000000")
