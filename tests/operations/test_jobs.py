"""Storing, changing, pausing and removing jobs: durable, audited, and never losing a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as sa_event
from sqlalchemy import text

from duly import (
    CatchUp,
    Event,
    JobDefaults,
    Retry,
    Scheduler,
    Trigger,
    VirtualClock,
    at,
    cron,
    every,
)  # fmt: skip
from duly.errors import (
    ArgumentsError,
    DuplicateJob,
    JobNotFound,
    RevisionConflict,
    StateError,
    UnknownTask,
)
from duly.triggers import any_of, calendar, frequency, rrule
from tests.operations.conftest import START, Make, after, with_tasks
from tests.support.waiting import wait_until


def test_a_job_is_stored_as_it_was_said(scheduler: Scheduler, clock: VirtualClock) -> None:
    """What add returns is what another process reads."""
    made = scheduler.add(
        "work", cron("0 9 * * 1-5", tz="Europe/Madrid"), id="report", args={"n": 7},
        tags=["b", "a", "b"], retry=Retry(5), queue="default", misfire_grace=60, actor="ana",
    )  # fmt: skip
    assert made == scheduler.job("report")
    assert (made.id, made.task, made.args, made.tags, made.state, made.origin, made.revision) == (
        "report", "work", {"n": 7}, ("a", "b"), "active", "api", 1,
    )  # fmt: skip
    assert (made.options.retry, made.options.misfire_grace) == (Retry(5), 60)
    assert made.next_fire_at == made.trigger.next_after(START)  # type: ignore[union-attr]
    assert (made.created_at, made.updated_at) == (START, START)
    assert (made.fired_count, made.consecutive_failures, made.last_nominal) == (0, 0, None)


def test_a_function_its_decorated_form_and_its_name_are_the_same(make: Make) -> None:
    """However the task is given."""
    scheduler = make()

    def plain() -> None: ...

    decorated = scheduler.task()(plain)
    forms: list[Any] = [plain, decorated, "plain"]
    for number, task in enumerate(forms):
        assert scheduler.add(task, every(seconds=1), id=f"j{number}").task == "plain"


def test_without_an_id_each_job_gets_its_own(scheduler: Scheduler) -> None:
    """A random one, told in the answer."""
    ids = {scheduler.add("work", every(seconds=60)).id for _ in range(3)}
    assert {job.id for job in scheduler.jobs()} == ids
    assert len(ids) == 3


def test_a_taken_id_is_refused_and_nothing_changes(scheduler: Scheduler) -> None:
    """Unless replacing was asked for."""
    held = scheduler.add("work", every(seconds=60), id="j", args={"n": 1}, tags=["t"])
    with pytest.raises(DuplicateJob, match="'j' already exists; pass replace=True"):
        scheduler.add("fail", every(seconds=1), id="j")
    assert scheduler.jobs() == [held]


def test_the_scheduler_s_zone_is_that_of_triggers_that_name_none(make: Make) -> None:
    """09:00 means 09:00 in Madrid; the stored trigger says so itself."""
    scheduler = with_tasks(make(timezone="Europe/Madrid"))
    job = scheduler.add("work", cron("0 9 * * *"))
    assert job.next_fire_at == after(8 * 3600)
    assert "Europe/Madrid" in str(job.trigger)
    other = make()
    assert other.next_fires(job.id, 2)[1] == after(32 * 3600)


def test_defaults_reach_jobs_that_say_nothing(make: Make) -> None:
    """Scheduler defaults, then the task's, then the job's own."""
    scheduler = make(defaults=JobDefaults(timeout=30, misfire_grace=5, overlap="allow"))

    @scheduler.task(timeout=60)
    def work() -> None: ...

    held = scheduler.add(work, every(seconds=60), misfire_grace=9).options
    assert (held.timeout, held.misfire_grace, held.overlap) == (60, 9, "allow")


# --------------------------------------------------------------------------------- replace


def test_replacing_with_the_same_changes_nothing(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Idempotent: same cursor, same revision, no event; so it may be called at every request."""
    first = scheduler.add("work", every(seconds=60), id="j", args={"n": 1}, tags=["t"])
    events = scheduler.events()
    for _ in range(10):
        clock.advance(5)
        again = scheduler.add(
            "work", every(seconds=60), id="j", args={"n": 1}, tags=["t"], replace=True
        )
        assert again == first
    assert scheduler.events() == events


@pytest.mark.parametrize(
    "trigger",
    [
        every(hours=8), every(seconds=0.7), cron("0 9 * * *"), cron("H H * * *"),
        at(after(86_400)), calendar(days=3, at="09:00"), rrule("FREQ=DAILY;INTERVAL=3"),
        frequency({"type": "interval", "every_minutes": 7}),
        any_of(every(seconds=7), cron("0 9 * * *")),
        any_of(calendar(days=2, at="07:30"), rrule("FREQ=HOURLY;INTERVAL=5", tz="Asia/Tokyo")),
    ],
    ids=lambda trigger: trigger.kind,
)  # fmt: skip
def test_saying_the_same_again_keeps_every_kind_of_trigger_where_it_is(
    make: Make, clock: VirtualClock, trigger: Trigger
) -> None:
    """What counts from when the job was stored goes on counting from there."""
    scheduler = with_tasks(make(timezone="Europe/Madrid"))
    clock.advance(1234.567)
    first = scheduler.add("work", trigger, id="j")
    for _ in range(3):
        clock.advance(0.1)
        assert scheduler.add("work", trigger, id="j", replace=True) == first
    edited = scheduler.edit("j", trigger=trigger, timeout=5)
    assert (edited.trigger, edited.next_fire_at) == (first.trigger, first.next_fire_at)


def test_replacing_changes_what_differs(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Task, arguments, options and tags; an unchanged trigger keeps its next fire."""
    first = scheduler.add("fail", every(seconds=60), id="j", tags=["old"])
    clock.advance(30)
    again = scheduler.add(
        "work", every(seconds=60), id="j", args={"n": 2}, tags=["new"], timeout=5, replace=True
    )
    assert (again.task, again.args, again.tags, again.options.timeout) == (
        "work", {"n": 2}, ("new",), 5,
    )  # fmt: skip
    assert (again.next_fire_at, again.uid) == (first.next_fire_at, first.uid)
    assert again.revision == 2
    clock.advance(30)
    scheduler.tick()
    assert scheduler.runs(job="j")[0].result == 2


def test_replacing_the_trigger_moves_the_cursor(scheduler: Scheduler, clock: VirtualClock) -> None:
    """The new trigger holds at once."""
    scheduler.add("work", every(hours=1), id="j")
    clock.advance(10)
    again = scheduler.add("work", every(seconds=5, anchor=START), id="j", replace=True)
    assert again.next_fire_at == after(15)


# ------------------------------------------------------------------------------------ edit


def test_an_edit_changes_only_what_it_names(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Everything else stays, the cursor too; the revision rises by one."""
    before = scheduler.add("work", every(seconds=60), id="j", args={"n": 1}, tags=["t"], timeout=9)
    clock.advance(10)
    edited = scheduler.edit("j", retry=3, actor="ana")
    assert edited.options.retry == Retry(attempts=3)
    assert (edited.options.timeout, edited.args, edited.tags) == (9, {"n": 1}, ("t",))
    assert (edited.trigger, edited.next_fire_at) == (before.trigger, before.next_fire_at)
    assert edited.revision == 2
    assert edited == scheduler.job("j")
    (event,) = scheduler.events(kind="job.changed")
    assert (event.actor, event.job_id) == ("ana", "j")


def test_arguments_can_be_edited_to_none(scheduler: Scheduler) -> None:
    """An empty mapping is a value, not "nothing given"."""
    scheduler.add("work", every(seconds=60), id="j", args={"n": 1}, tags=["t"])
    assert scheduler.edit("j", args={}).args == {}
    assert scheduler.edit("j", tags=[]).tags == ()


def test_an_edit_of_the_trigger_holds_at_once(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Strictly after now, whatever the old trigger would have done."""
    scheduler.add("work", every(hours=1), id="j")
    clock.advance(10)
    edited = scheduler.edit("j", trigger=cron("* * * * *"))
    assert edited.next_fire_at == after(60)
    assert scheduler.edit("j", trigger=every(seconds=7)).next_fire_at == after(17)


def test_rule_11_an_edit_decides_first_what_fell_due_under_the_old_trigger(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Engine rule 11: three times came before anybody ticked; all of them are decided."""
    scheduler.add("work", every(seconds=10), id="j", catch_up="all")
    clock.advance(35)
    edited = scheduler.edit("j", trigger=every(seconds=100, anchor=START))
    assert edited.next_fire_at == after(100)
    nominal = [run.scheduled_for for run in scheduler.runs(job="j")]
    assert sorted(filter(None, nominal)) == [after(10), after(20), after(30)]


def test_an_edit_of_a_paused_job_loses_no_time(scheduler: Scheduler, clock: VirtualClock) -> None:
    """What the pause held back is on record, although the old trigger is gone."""
    scheduler.add("work", every(seconds=10), id="j")
    scheduler.pause("j")
    clock.advance(35)
    edited = scheduler.edit("j", trigger=every(seconds=100, anchor=START))
    assert (edited.state, edited.next_fire_at) == ("paused", after(100))
    (gap,) = scheduler.missed("j")
    assert (gap.first, gap.last, gap.count) == (after(10), after(30), 3)
    scheduler.resume("j")
    clock.advance(65)
    scheduler.tick()
    assert [run.scheduled_for for run in scheduler.runs(job="j")] == [after(100)]


@pytest.mark.parametrize("change", ["start", "end", "max_fires"])
def test_an_edit_of_the_bounds_holds_at_once(
    scheduler: Scheduler, clock: VirtualClock, change: str
) -> None:
    """No fire before a new start or after a new end, although the trigger is the same."""
    scheduler.add("work", every(seconds=10), id="j")
    clock.advance(10)
    scheduler.tick()
    if change == "start":
        edited = scheduler.edit("j", start=after(100))
        assert (edited.state, edited.next_fire_at) == ("active", after(100))
    else:
        bound: dict[str, Any] = {change: after(15) if change == "end" else 1}
        edited = scheduler.edit("j", **bound)
        assert (edited.state, edited.next_fire_at) == ("finished", None)
    for _ in range(5):
        clock.advance(10)
        scheduler.tick()
    assert len(scheduler.runs(job="j")) == 1
    reopened = scheduler.edit("j", start=None, end=None, max_fires=None)
    assert (reopened.state, reopened.next_fire_at) == ("active", after(70))


def test_a_revision_that_was_overtaken_is_refused(scheduler: Scheduler) -> None:
    """Two people open one form: the second one to save is told, and nothing of hers is stored."""
    scheduler.add("work", every(seconds=60), id="j")
    read = scheduler.job("j").revision
    scheduler.edit("j", timeout=5, revision=read)
    with pytest.raises(RevisionConflict, match=r"at revision 2, not 1: .*read it again"):
        scheduler.edit("j", timeout=7, revision=read)
    assert scheduler.job("j").options.timeout == 5


def test_rule_11_firing_is_no_edit(scheduler: Scheduler, clock: VirtualClock) -> None:
    """The revision that a person sees does not move because the job ran."""
    scheduler.add("work", every(seconds=10), id="j")
    for _ in range(3):
        clock.advance(10)
        scheduler.tick()
    job = scheduler.job("j")
    assert (job.revision, job.fired_count) == (1, 3)
    scheduler.edit("j", timeout=5, revision=1)


def test_two_edits_at_once_both_hold(make: Make, prepared_database_url: str) -> None:
    """One person edits the arguments while another edits the tags: neither undoes the other.

    The second edit commits between the first one's look at the job and its write.
    """
    if not prepared_database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer at a time")
    mine, theirs = with_tasks(make()), with_tasks(make())
    mine.add("work", every(seconds=60), id="j", args={"n": 1}, tags=["old"])
    done: list[int] = []

    def intrude(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "FROM duly_job" in statement and not done:
            done.append(1)
            other = threading.Thread(target=lambda: theirs.edit("j", args={"n": 2}))
            other.start()
            other.join(0.5)  # with a lock on the row the other one waits; without, it is done
            done.append(2)

    sa_event.listen(mine.store.engine, "after_cursor_execute", intrude)
    mine.edit("j", tags=["new"])
    sa_event.remove(mine.store.engine, "after_cursor_execute", intrude)
    wait_until(lambda: mine.job("j").revision == 3, what="both edits")
    job = mine.job("j")
    assert (job.args, job.tags) == ({"n": 2}, ("new",))


def test_editing_a_job_of_a_task_that_is_gone_says_so(make: Make) -> None:
    """Its arguments cannot be checked: refused, and the job is as it was."""
    scheduler = with_tasks(make())
    scheduler.add("work", every(seconds=60), id="j")
    other = make()
    with pytest.raises(UnknownTask, match="no task is registered as 'work'"):
        other.edit("j", args={"n": 2})
    assert scheduler.job("j").revision == 1


# ------------------------------------------------------------------------- pause and resume


def test_pausing_holds_the_schedule_and_says_who_and_why(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Nothing fires; the record shows the person, the reason and the time."""
    scheduler.add("work", every(seconds=10), id="j")
    clock.advance(1)
    assert scheduler.pause("j", reason="the mail server is down", actor="ana") == 1
    for _ in range(5):
        clock.advance(10)
        scheduler.tick()
    job = scheduler.job("j")
    assert (job.state, job.paused_by, job.paused_reason, job.paused_at) == (
        "paused", "ana", "the mail server is down", after(1),
    )  # fmt: skip
    assert scheduler.runs(job="j") == []
    assert scheduler.resume("j", actor="bo") == 1
    job = scheduler.job("j")
    assert (job.state, job.paused_by, job.paused_reason, job.paused_at) == (
        "active", None, None, None,
    )  # fmt: skip
    scheduler.tick()
    (run,) = scheduler.runs(job="j")
    assert (run.scheduled_for, run.cause) == (after(50), "catch_up")
    (gap,) = scheduler.missed("j")
    assert gap.count == 4
    assert [(e.kind, e.actor) for e in scheduler.events(job="j")][:3] == [
        ("job.added", None), ("job.paused", "ana"), ("job.resumed", "bo"),
    ]  # fmt: skip


def test_pausing_twice_is_pausing_once(scheduler: Scheduler) -> None:
    """The second time nothing is active any more; the first reason stays."""
    scheduler.add("work", every(seconds=10), id="j")
    assert scheduler.pause("j", reason="first") == 1
    assert scheduler.pause("j", reason="second") == 0
    assert scheduler.job("j").paused_reason == "first"
    assert scheduler.resume("j") == 1
    assert scheduler.resume("j") == 0


def test_a_tag_stands_for_all_its_jobs(scheduler: Scheduler) -> None:
    """Pause, resume and remove them together; others are not touched."""
    for number in range(4):
        scheduler.add("work", every(seconds=60), id=f"j{number}", tags=["all", f"odd:{number % 2}"])
    assert scheduler.pause(tag="odd:1") == 2
    assert {job.id for job in scheduler.jobs(state="paused")} == {"j1", "j3"}
    assert scheduler.resume(tag="all") == 2
    assert scheduler.remove(tag="odd:0") == 2
    assert {job.id for job in scheduler.jobs()} == {"j1", "j3"}
    assert scheduler.pause(tag="nobody") == scheduler.remove(tag="nobody") == 0


def test_a_ready_run_goes_on_when_its_job_is_paused(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Pause stops firing; what has fired runs."""
    scheduler.add("work", every(seconds=10), id="j")
    run = scheduler.run_now("j")
    scheduler.pause("j")
    scheduler.tick()
    assert scheduler.run(run.id).state == "succeeded"


def test_a_finished_job_can_be_given_a_new_trigger(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """It lives again, under the same id and with its history."""
    scheduler.add("work", at(after(10)), id="j")
    clock.advance(10)
    scheduler.tick()
    assert scheduler.job("j").state == "finished"
    edited = scheduler.edit("j", trigger=at(after(20)))
    assert (edited.state, edited.next_fire_at) == ("active", after(20))
    clock.advance(10)
    scheduler.tick()
    assert len(scheduler.runs(job="j", state="succeeded")) == 2


# ---------------------------------------------------------------------------------- remove


def test_removing_cancels_what_has_not_started_and_keeps_history(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """The job is gone, its runs are still there to be read."""
    scheduler.add("work", every(seconds=10), id="j", overlap="allow", tags=["t"])
    clock.advance(10)
    scheduler.tick()
    waiting = scheduler.run_now("j")
    assert scheduler.remove("j", actor="ana") == 1
    with pytest.raises(JobNotFound):
        scheduler.job("j")
    assert scheduler.run(waiting.id).state == "cancelled"
    assert scheduler.run(waiting.id).reason == "the job was removed"
    assert len(scheduler.runs(job="j")) == 2
    assert scheduler.events(kind="job.removed")[0].actor == "ana"
    clock.advance(100)
    scheduler.tick()
    assert len(scheduler.runs(job="j")) == 2


def test_rule_18_a_job_added_again_is_another_one(
    scheduler: Scheduler, make: Make, clock: VirtualClock
) -> None:
    """Engine rule 18: same id, same nominal times, another incarnation: they run again."""
    first = scheduler.add("work", every(seconds=10, anchor=START), id="j")
    clock.advance(10)
    scheduler.tick()
    scheduler.remove("j")
    clock.set(START)
    scheduler = with_tasks(make())  # to the first one the clock has jumped
    second = scheduler.add("work", every(seconds=10, anchor=START), id="j")
    assert second.uid != first.uid
    assert second.revision == 1
    clock.advance(10)
    scheduler.tick()
    assert [run.scheduled_for for run in scheduler.runs(job="j")] == [after(10), after(10)]


def test_an_id_freed_in_the_same_moment_can_be_taken(
    make: Make, prepared_database_url: str
) -> None:
    """Somebody removes the job between our finding it there and our reading it: ours is stored."""
    if not prepared_database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer at a time")
    mine, theirs = with_tasks(make()), with_tasks(make())
    theirs.add("work", every(seconds=60), id="j")
    removed: list[int] = []

    def intrude(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "INSERT INTO duly_job" in statement and not removed:
            removed.append(theirs.remove("j"))

    mine.store.prepare()
    sa_event.listen(mine.store.engine, "after_cursor_execute", intrude)
    job = mine.add("work", every(seconds=5), id="j")
    sa_event.remove(mine.store.engine, "after_cursor_execute", intrude)
    assert removed == [1]
    assert job == mine.job("j")


# ------------------------------------------------------------------------------- next fires


def test_the_next_fires_are_those_that_will_be(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Starting with the cursor; at most as many as the schedule still has."""
    scheduler.add("work", every(seconds=10), id="j")
    assert scheduler.next_fires("j", 3) == [after(10), after(20), after(30)]
    scheduler.edit("j", end=after(25))
    assert scheduler.next_fires("j") == [after(10), after(20)]
    scheduler.edit("j", end=None, max_fires=3)
    assert scheduler.next_fires("j") == [after(10), after(20), after(30)]
    clock.advance(10)
    scheduler.tick()
    assert scheduler.next_fires("j") == [after(20), after(30)]


def test_a_paused_job_shows_the_times_to_come(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Not those that have passed during the pause, which its resumption decides."""
    scheduler.add("work", every(seconds=10), id="j")
    scheduler.pause("j")
    clock.advance(25)
    assert scheduler.next_fires("j", 2) == [after(30), after(40)]


def test_runs_that_have_not_started_follow_their_job_to_another_queue(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """The old queue may have no workers; runs that have ended stay where they were."""
    scheduler.add("work", every(seconds=10), id="j", queue="default", overlap="allow")
    clock.advance(10)
    scheduler.tick()
    scheduler.edit("j", queue="gpu")
    clock.advance(10)
    scheduler.tick()
    waiting, ended = scheduler.runs(job="j")
    assert (waiting.state, waiting.queue) == ("ready", "gpu")
    assert (ended.state, ended.queue) == ("succeeded", "default")
    scheduler.edit("j", queue="default")
    scheduler.tick()
    assert [(run.state, run.queue) for run in scheduler.runs(job="j")] == [
        ("succeeded", "default"), ("succeeded", "default"),
    ]  # fmt: skip


# ------------------------------------------------------------------ damage and newer versions


def damage(scheduler: Scheduler, column: str, value: str) -> None:
    """Overwrite a column of job ``j``, as a newer version or a careless hand would."""
    with scheduler.store.engine.begin() as conn:
        name = conn.dialect.identifier_preparer.quote(column)
        conn.execute(text(f"update duly_job set {name} = :value where id = 'j'"), {"value": value})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("options", '{"speed": 9}'),
        ("options", "nonsense"),
        ("trigger", '{"kind":"moon"}'),
        ("trigger", "{"),
    ],
)
def test_an_unreadable_job_is_shown_set_aside_and_can_be_repaired(
    scheduler: Scheduler, clock: VirtualClock, column: str, value: str
) -> None:
    """It stops nobody, is listed with its reason, and can be replaced by a readable one."""
    scheduler.add("work", every(seconds=10), id="j")
    scheduler.add("work", every(seconds=10), id="k")
    damage(scheduler, column, value)
    clock.advance(10)
    scheduler.tick()
    assert len(scheduler.runs(job="k")) == 1
    job = scheduler.job("j")
    assert job.state == "unresolved"
    assert job.unresolved_reason
    assert [held.id for held in scheduler.jobs(state="unresolved")] == ["j"]
    assert scheduler.next_fires("j") is not None
    assert {held.id for held in scheduler.jobs()} == {"j", "k"}
    repaired = scheduler.add("work", every(seconds=10), id="j", replace=True)
    assert (repaired.state, repaired.unresolved_reason) == ("active", None)
    clock.advance(10)
    scheduler.tick()
    decided = [run.scheduled_for for run in scheduler.runs(job="j")]
    decided += [gap.first for gap in scheduler.missed("j") if gap.count == 1]
    assert sorted(filter(None, decided)) == [after(10), after(20)]
    assert [run.state for run in scheduler.runs(job="j")][-1] == "succeeded"


def test_arguments_that_are_no_json_do_not_break_the_list(scheduler: Scheduler) -> None:
    """One damaged row must not hide all the others."""
    scheduler.add("work", every(seconds=10), id="j")
    scheduler.add("work", every(seconds=10), id="k")
    damage(scheduler, "args", "nonsense")
    assert {job.id for job in scheduler.jobs()} == {"j", "k"}
    assert scheduler.job("k").args == {}


# ------------------------------------------------------------------------------------ audit


def test_every_change_is_on_record_with_its_actor(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Security rule 11: who did what; the trail is in order and complete."""
    acts: list[tuple[str, Callable[[], Any]]] = [
        ("job.added", lambda: scheduler.add("fail", every(hours=1), id="j", actor="a")),
        ("job.changed", lambda: scheduler.edit("j", timeout=5, actor="a")),
        ("job.paused", lambda: scheduler.pause("j", actor="a")),
        ("job.resumed", lambda: scheduler.resume("j", actor="a")),
        ("queue.paused", lambda: scheduler.pause_queue("default", actor="a")),
        ("queue.resumed", lambda: scheduler.resume_queue("default", actor="a")),
        ("scheduler.stopped", lambda: scheduler.stop_all(actor="a")),
        ("scheduler.started", lambda: scheduler.start_all(actor="a")),
        ("job.removed", lambda: scheduler.remove("j", actor="a")),
    ]
    for _kind, act in acts:
        act()
    trail = scheduler.events()
    assert [(event.kind, event.actor) for event in trail] == [(kind, "a") for kind, _ in acts]
    ids = [event.id for event in trail]
    assert ids == sorted(filter(None, ids))
    heard: list[Event] = []
    scheduler.on("job.added", heard.append)
    scheduler.add("work", every(hours=1), id="k", actor="b")
    assert [(event.kind, event.actor, event.job_id) for event in heard] == [("job.added", "b", "k")]


def test_what_is_refused_is_not_on_record(scheduler: Scheduler) -> None:
    """A failed action leaves no event."""
    scheduler.add("work", every(hours=1), id="j")
    before = scheduler.events()
    for act in (
        lambda: scheduler.add("work", every(hours=1), id="j"),
        lambda: scheduler.edit("j", args={"n": "x"}),
        lambda: scheduler.edit("j", timeout=1, revision=9),
        lambda: scheduler.reset("j"),
    ):
        with pytest.raises((DuplicateJob, ArgumentsError, RevisionConflict, StateError)):
            act()
    assert scheduler.events() == before


def test_many_jobs_of_one_instant(scheduler: Scheduler, clock: VirtualClock) -> None:
    """A thousand reminders due at one moment: each runs once."""
    for number in range(300):
        scheduler.add("work", at(after(10)), id=f"r{number}", args={"n": number})
    clock.advance(10)
    scheduler.tick()
    found = scheduler.runs(limit=1000)
    assert sorted(run.result for run in found) == list(range(300))
    assert scheduler.status().jobs == {"finished": 300}


def test_catching_up_after_a_long_time_away(scheduler: Scheduler, clock: VirtualClock) -> None:
    """A month of seconds: one run, one range, and the next time is the next second."""
    scheduler.add("work", every(seconds=1), id="j")
    scheduler.add("work", every(seconds=1), id="all", catch_up=CatchUp("all", limit=3))
    clock.advance(days=30)
    for _ in range(5):
        scheduler.tick()
    seconds = 30 * 86_400
    for job_id, runs in (("j", 1), ("all", 3)):
        assert len(scheduler.runs(job=job_id, state="succeeded")) == runs
        assert sum(gap.count for gap in scheduler.missed(job_id)) == seconds - runs
        assert scheduler.job(job_id).next_fire_at == clock.now() + timedelta(seconds=1)
