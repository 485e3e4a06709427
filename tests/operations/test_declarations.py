"""Jobs declared in code: deploys never postpone, people's edits win, nothing is deleted."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event as sa_event

from duly import Scheduler, Trigger, VirtualClock, at, cron, every
from duly.errors import ConfigurationError, NotFound, StateError
from duly.triggers import any_of, calendar, rrule
from tests.operations.conftest import START, Make, after
from tests.store.conftest import at_once

Program = Callable[..., Scheduler]


@pytest.fixture
def start(make: Make) -> Program:
    """Starts the program afresh, as a deploy does: declares job ``j`` and takes one step."""

    def once(trigger: Trigger | None = None, *, step: bool = True, **said: Any) -> Scheduler:
        settings = {"timezone": said.pop("timezone", "UTC"), "name": said.pop("name", "default")}
        scheduler = make(**settings)

        @scheduler.job(trigger or every(seconds=60), id="j", **said)
        def work(n: int = 0) -> int:
            return n

        if step:
            scheduler.tick()
        return scheduler

    return once


def test_a_declaration_is_stored_at_the_first_step(make: Make) -> None:
    """Not before: declaring alone touches no database."""
    scheduler = make("sqlite:////no/such/folder/at/all.db")

    @scheduler.job(every(seconds=60), id="j", args={"n": 1}, tags=["t"], timeout=5)
    def work(n: int) -> None: ...

    assert work(1) is None


def test_what_is_declared_is_what_is_stored(start: Program) -> None:
    """Origin code, id as given, everything else as for an added job."""
    scheduler = start(cron("0 9 * * *"), args={"n": 1}, tags=["b", "a"], timeout=5)
    job = scheduler.job("j")
    assert (job.origin, job.task, job.args, job.tags, job.options.timeout) == (
        "code", "work", {"n": 1}, ("a", "b"), 5,
    )  # fmt: skip
    assert job.overridden == ()
    assert [event.kind for event in scheduler.events(job="j")] == ["job.added"]


def test_the_id_is_the_task_s_name_unless_given(make: Make) -> None:
    """And one function may have several jobs."""
    scheduler = make()

    @scheduler.job(every(seconds=1), id="twice")
    @scheduler.job(every(hours=1))
    def report() -> None: ...

    scheduler.tick()
    assert {(job.id, job.task) for job in scheduler.jobs()} == {
        ("report", "report"), ("twice", "report"),
    }  # fmt: skip
    assert report() is None


@pytest.mark.parametrize(
    "trigger",
    [every(seconds=60), every(hours=8), cron("0 9 * * *"), at(after(86_400)),
     calendar(days=3, at="09:00"), rrule("FREQ=DAILY;INTERVAL=3"),
     any_of(every(seconds=77), cron("0 9 * * *"))],
    ids=lambda trigger: trigger.kind,
)  # fmt: skip
def test_restarts_postpone_nothing(start: Program, clock: VirtualClock, trigger: Trigger) -> None:
    """One job, same cursor, same revision, no event, however often the program starts."""
    first = start(trigger, timezone="Europe/Madrid").job("j")
    for _ in range(3):
        clock.advance(5.5)
        again = start(trigger, timezone="Europe/Madrid").job("j")
        assert again == first
    scheduler = start(trigger, timezone="Europe/Madrid")
    assert len(scheduler.jobs()) == 1
    assert len(scheduler.events(job="j")) == 1


def test_a_time_that_came_during_the_restart_still_happens(
    start: Program, clock: VirtualClock
) -> None:
    """Overdue but inside its grace: the first step after the start runs it."""
    start(misfire_grace=30)
    clock.advance(80)
    scheduler = start(misfire_grace=30)
    (run,) = scheduler.runs(job="j")
    assert (run.scheduled_for, run.state) == (after(60), "succeeded")


def test_a_changed_declaration_applies(start: Program, clock: VirtualClock) -> None:
    """Trigger, arguments, options and tags follow the code; what did not change stays."""
    first = start(args={"n": 1}).job("j")
    clock.advance(10)
    second = start(args={"n": 2}, tags=["t"], timeout=9).job("j")
    assert (second.args, second.tags, second.options.timeout) == ({"n": 2}, ("t",), 9)
    assert second.next_fire_at == first.next_fire_at
    third = start(every(seconds=7)).job("j")
    assert third.next_fire_at == after(17)
    assert (third.args, third.tags, third.options.timeout) == ({}, (), None)
    assert third.revision == 3


def test_a_changed_zone_applies(start: Program) -> None:
    """The scheduler's zone is part of what "09:00" means."""
    start(cron("0 9 * * *"), timezone="UTC")
    moved = start(cron("0 9 * * *"), timezone="Europe/Madrid").job("j")
    assert moved.next_fire_at == after(8 * 3600)


def test_a_changed_task_applies(make: Make, start: Program) -> None:
    """The job keeps its id and its history."""
    start()
    scheduler = make()

    @scheduler.job(every(seconds=60), id="j")
    def other() -> None: ...

    scheduler.tick()
    assert scheduler.job("j").task == "other"


# --------------------------------------------------------------------------- edits by hand


def test_an_edit_wins_over_the_declaration_until_it_is_reset(
    start: Program, clock: VirtualClock
) -> None:
    """Restarts leave it; it is marked; reset brings the declaration back."""
    scheduler = start(every(seconds=60), timeout=5)
    edited = scheduler.edit("j", trigger=every(seconds=7), actor="ana")
    assert edited.overridden == ("trigger",)
    for _ in range(10):
        again = start(every(seconds=60), timeout=5).job("j")
        assert (again.trigger, again.overridden) == (edited.trigger, ("trigger",))
        assert again.next_fire_at == edited.next_fire_at
    clock.advance(1)
    back = scheduler.reset("j", actor="bo")
    assert (back.overridden, back.next_fire_at) == ((), after(61))
    assert [(e.kind, e.actor) for e in scheduler.events(job="j")] == [
        ("job.added", None), ("job.changed", "ana"), ("job.changed", "bo"),
    ]  # fmt: skip


def test_only_what_was_edited_wins(start: Program) -> None:
    """A later deploy changes everything else of the same job, and what reset goes back to."""
    start(args={"n": 1}, timeout=5, tags=["old"]).edit("j", timeout=99, retry=4)
    job = start(every(seconds=7), args={"n": 2}, timeout=6, tags=["new"]).job("j")
    assert (job.options.timeout, job.options.retry and job.options.retry.attempts) == (99, 4)
    assert (job.args, job.tags) == ({"n": 2}, ("new",))
    assert str(job.trigger) == "every 7 seconds"
    assert job.overridden == ("options.retry", "options.timeout")
    reset = start(every(seconds=7), args={"n": 2}, timeout=6, tags=["new"]).reset("j")
    assert (reset.options.timeout, reset.options.retry) == (6, None)


@pytest.mark.parametrize("field", ["args", "tags"])
def test_edited_arguments_and_tags_win_too(start: Program, field: str) -> None:
    """Each field by itself."""
    values: dict[str, Any] = {"args": {"n": 5}, "tags": ["mine"]}
    start().edit("j", **{field: values[field]})
    job = start(args={"n": 2}, tags=["code"], timeout=3).job("j")
    assert job.overridden == (field,)
    assert (job.args, job.tags) == (
        ({"n": 5}, ("code",)) if field == "args" else ({"n": 2}, ("mine",))
    )
    assert job.options.timeout == 3


def test_several_edits_add_up(start: Program) -> None:
    """What was edited first is not forgotten at the second edit."""
    scheduler = start()
    scheduler.edit("j", timeout=9)
    scheduler.edit("j", trigger=every(seconds=7))
    scheduler.edit("j", tags=["mine"])
    assert scheduler.job("j").overridden == ("options.timeout", "tags", "trigger")


def test_an_edit_after_the_function_changed_is_no_loss(start: Program, make: Make) -> None:
    """The declared task changes under an edit of the trigger: both hold."""
    start().edit("j", trigger=every(seconds=7))
    scheduler = make()

    @scheduler.job(every(seconds=60), id="j")
    def other() -> None: ...

    scheduler.tick()
    job = scheduler.job("j")
    assert (job.task, str(job.trigger)) == ("other", "every 7 seconds")


def test_pausing_outlives_restarts(start: Program) -> None:
    """A deploy does not resume what a person paused, changed declaration or not."""
    start().pause("j", reason="wait")
    assert start().job("j").state == "paused"
    assert start(every(seconds=7)).job("j").state == "paused"
    assert start(every(seconds=7)).job("j").paused_reason == "wait"


def test_a_job_that_code_never_declared_has_nothing_to_go_back_to(start: Program) -> None:
    """Reset says so."""
    scheduler = start()
    scheduler.add("work", every(seconds=1), id="k")
    assert scheduler.edit("k", timeout=5).overridden == ()
    with pytest.raises(StateError, match="'k' is not declared in code; there is nothing"):
        scheduler.reset("k")
    with pytest.raises(NotFound):
        scheduler.reset("nothing")


def test_code_takes_over_a_job_of_the_same_id(start: Program, make: Make) -> None:
    """Added by hand first, declared later: the declaration holds from then on."""
    scheduler = start(step=False)
    scheduler.add("work", every(hours=5), id="j", args={"n": 9})
    scheduler.tick()
    job = scheduler.job("j")
    assert (job.origin, job.args) == ("code", {})
    assert str(job.trigger) == "every minute"
    assert start().job("j") == job


def test_a_job_removed_by_hand_comes_back_with_the_next_start(start: Program) -> None:
    """It is still declared; who wants it gone pauses it or takes it out of the code."""
    first = start()
    uid = first.job("j").uid
    first.remove("j")
    assert start().job("j").uid != uid


# --------------------------------------------------------------------------------- orphans


def test_a_declaration_that_disappears_is_reported_and_goes_on(
    start: Program, make: Make, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is deleted or stopped by itself; the log names the job and what to do."""
    start().stop()
    scheduler = make()

    @scheduler.task()
    def work(n: int = 0) -> int:
        return n

    with caplog.at_level(logging.WARNING, "duly"):
        scheduler.tick()
    assert any(
        "'j' is no longer declared by the code of 'default'" in message
        for message in caplog.messages
    )
    clock.advance(60)
    scheduler.tick()
    assert len(scheduler.runs(job="j")) == 1


def test_another_application_s_jobs_are_no_orphans(
    start: Program, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Compared only within the same ``Scheduler(name=…)``; added jobs are never orphans."""
    start(name="shop").add("work", every(hours=1), id="added")
    with caplog.at_level(logging.WARNING, "duly"):
        make(name="blog").tick()
    assert not [message for message in caplog.messages if "declared by the code" in message]


def test_a_declaration_that_returns_is_the_same_job(start: Program, make: Make) -> None:
    """Taken out and put back: cursor, history and incarnation are still there."""
    scheduler = start()
    first = scheduler.job("j")
    scheduler.stop()
    without = make()
    without.tick()
    assert [job.id for job in without.orphans()] == ["j"]
    assert start().job("j") == first
    assert without.orphans() == []


# ------------------------------------------------------------------------ starts at one time


def test_many_processes_declare_at_once(make: Make) -> None:
    """Six workers start together on an empty database: one of each job, nobody fails."""

    def program(reverse: bool) -> Scheduler:
        scheduler = make()
        names = [f"j{number:02}" for number in range(12)]
        for name in reversed(names) if reverse else names:

            @scheduler.job(every(seconds=60), id=name)
            def work() -> None: ...

        return scheduler

    programs = [program(reverse=number % 2 == 1) for number in range(6)]
    at_once(*(scheduler.prepare for scheduler in programs))
    jobs = programs[0].jobs()
    assert [job.id for job in jobs] == [f"j{number:02}" for number in range(12)]
    assert {job.revision for job in jobs} == {1}
    assert len(programs[0].events(kind="job.added")) == 12


def test_two_versions_with_their_jobs_in_another_order_do_not_deadlock(
    make: Make, prepared_database_url: str
) -> None:
    """A rolling deploy whose declarations moved about in the file: both versions start.

    Each is held up after storing its first job, until the other one has stored its own.
    """
    if not prepared_database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer at a time")
    meeting = threading.Barrier(2)

    def program(*names: str) -> Scheduler:
        scheduler = make()
        for name in names:

            @scheduler.job(every(seconds=60), id=name)
            def work() -> None: ...

        met: list[int] = []

        def wait_for_the_other(_c: Any, _k: Any, statement: str, *_rest: Any) -> None:
            if "INSERT INTO duly_job" in statement and not met:
                met.append(1)
                with contextlib.suppress(threading.BrokenBarrierError):
                    meeting.wait(0.5)  # it breaks when the other one waits for our row: good

        scheduler.store.prepare()
        sa_event.listen(scheduler.store.engine, "after_cursor_execute", wait_for_the_other)
        return scheduler

    old, new = program("a", "b"), program("b", "a")
    at_once(old.prepare, new.prepare)
    assert [job.id for job in old.jobs()] == ["a", "b"]


def test_declaring_wrongly_is_told_at_once(start: Program, make: Make) -> None:
    """In the line of the code that is wrong, not at the first step."""
    scheduler = make()

    def work(n: int) -> None: ...

    wrongs: list[dict[str, Any]] = [
        {"args": {"m": 1}}, {"timeout": -1}, {"tags": "t"}, {"id": "a\x00b"}, {"args": {"n": "x"}},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"arguments of|timeout|tags|job id"):
            scheduler.job(every(seconds=1), **{"args": {"n": 1}, **wrong})(work)
    with pytest.raises(ConfigurationError, match="is not a trigger"):
        scheduler.job(5)(work)  # type: ignore[call-overload]
    scheduler.tick()
    assert scheduler.jobs() == []
    assert scheduler.clock.now() == START
