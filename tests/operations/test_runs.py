"""Calls and runs: enqueued once, run now, cancelled, tried again, given up."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from duly import Event, Retry, Run, Scheduler, VirtualClock, every
from duly.errors import ArgumentsError, ConfigurationError, OverlapError, StateError, UnknownTask
from duly.model.policy import Overlap
from tests.operations.conftest import START, Make, after, with_tasks
from tests.store.conftest import at_once
from tests.support.waiting import wait_until


def state(scheduler: Scheduler, run_id: str) -> str:
    return scheduler.run(run_id).state


# --------------------------------------------------------------------------------- enqueue


def test_a_call_is_stored_and_then_made_once(scheduler: Scheduler) -> None:
    """It is durable when enqueue returns; one step executes it."""
    run_id = scheduler.enqueue("work", n=5, actor="ana")
    run = scheduler.run(run_id)
    assert (run.task, run.args, run.state, run.cause, run.actor, run.job_id) == (
        "work", {"n": 5}, "ready", "enqueue", "ana", None,
    )  # fmt: skip
    assert (run.due_at, run.scheduled_for, run.attempt) == (START, None, 0)
    scheduler.tick()
    done = scheduler.run(run_id)
    assert (done.state, done.result, done.attempt, done.duration) == (
        "succeeded", 5, 1, timedelta(0),
    )  # fmt: skip
    scheduler.tick()
    assert scheduler.runs() == [done]


def test_arguments_may_be_given_in_order(make: Make) -> None:
    """By position, by name, or both; too many and doubled ones are refused."""
    scheduler, seen = make(), list[tuple[int, str]]()
    by_name: Any = "work"

    @scheduler.task()
    def work(run: Run, n: int, word: str = "") -> None:
        seen.append((n, word))

    scheduler.enqueue(work, 1)
    scheduler.enqueue(work, 2, word="two", delay=0)
    work.enqueue(3, "three")
    scheduler.tick()
    assert sorted(seen) == [(1, ""), (2, "two"), (3, "three")]
    with pytest.raises(ArgumentsError, match="it takes at most 2 positional, but 3 were given"):
        scheduler.enqueue(by_name, 1, "two", 3)
    with pytest.raises(ArgumentsError, match="n is given twice"):
        scheduler.enqueue(by_name, 1, n=1)
    with pytest.raises(ConfigurationError, match="one by one"):
        scheduler.enqueue(by_name, 1, args={"n": 1}, delay=1)


def test_the_function_itself_enqueues(make: Make) -> None:
    """`function.enqueue(…)` is the same call."""
    scheduler = make()

    @scheduler.task()
    def work(n: int) -> int:
        return n + 1

    run_id = work.enqueue(n=5, priority=-3)
    assert scheduler.run(run_id).priority == -3
    scheduler.tick()
    assert scheduler.run(run_id).result == 6
    assert work(1) == 2


def test_a_parameter_named_like_an_option_goes_through_args(make: Make) -> None:
    """``args={…}`` can name anything."""
    scheduler = make()

    @scheduler.task()
    def move(queue: str, at: int, priority: str, task: str) -> list[Any]:
        return [queue, at, priority, task]

    run_id = scheduler.enqueue(move, args={"queue": "q", "at": 5, "priority": "p", "task": "t"})
    scheduler.tick()
    assert scheduler.run(run_id).result == ["q", 5, "p", "t"]
    other = scheduler.enqueue(move, args={"queue": "q", "at": 5, "priority": "p", "task": "t"},
                              priority=-1)  # fmt: skip
    assert scheduler.run(other).priority == -1


@pytest.mark.parametrize("said", ["delay", "timedelta", "at"])
def test_a_call_for_later_waits_for_its_time(
    scheduler: Scheduler, clock: VirtualClock, said: str
) -> None:
    """Not a microsecond early."""
    ways: dict[str, dict[str, Any]] = {
        "delay": {"delay": 60}, "timedelta": {"delay": timedelta(minutes=1)},
        "at": {"at": after(60)},
    }  # fmt: skip
    run_id = scheduler.enqueue("work", **ways[said])
    assert (state(scheduler, run_id), scheduler.run(run_id).due_at) == ("scheduled", after(60))
    clock.advance(59.999999)
    scheduler.tick()
    assert state(scheduler, run_id) == "scheduled"
    clock.advance(0.000001)
    scheduler.tick()
    assert state(scheduler, run_id) == "succeeded"


def test_a_call_for_the_past_is_for_now(scheduler: Scheduler) -> None:
    """An instant that is over means at once."""
    run_id = scheduler.enqueue("work", at=after(-3600))
    assert (state(scheduler, run_id), scheduler.run(run_id).due_at) == ("ready", START)


def test_urgent_calls_overtake(make: Make) -> None:
    """Smaller priorities first, within a queue; the task's own unless the call says otherwise."""
    scheduler = make(queues={"default": 1, "other": 1})
    order: list[int] = []

    @scheduler.task(priority=3)
    def work(n: int) -> None:
        order.append(n)

    for number, priority in enumerate((5, None, -5)):
        scheduler.enqueue(work, n=number, priority=priority)
    scheduler.tick()
    assert order == [2, 1, 0]


def test_a_queue_that_nobody_serves_waits(make: Make) -> None:
    """A call for another kind of worker is left for it."""
    web, mail = with_tasks(make()), with_tasks(make(queues={"mail": 2}))
    run_id = web.enqueue("work", queue="mail")
    web.tick()
    assert state(web, run_id) == "ready"
    mail.tick()
    assert state(web, run_id) == "succeeded"


def test_a_paused_queue_holds_its_runs(scheduler: Scheduler) -> None:
    """And only its own."""
    scheduler.pause_queue("default", reason="deploy", actor="ana")
    run_id = scheduler.enqueue("work")
    scheduler.tick()
    assert state(scheduler, run_id) == "ready"
    (queue,) = scheduler.status().queues
    assert (queue.paused, queue.paused_by, queue.paused_reason) == (True, "ana", "deploy")
    scheduler.resume_queue("default")
    scheduler.tick()
    assert state(scheduler, run_id) == "succeeded"


# ------------------------------------------------------------------------------ unique keys


def test_a_key_that_is_held_gives_the_run_that_holds_it(scheduler: Scheduler) -> None:
    """Ten clicks, one mail; another key is another call."""
    ids = {scheduler.enqueue("work", n=n, unique_key="mail:7") for n in range(10)}
    assert len(ids) == 1
    assert scheduler.run(ids.pop()).args == {"n": 0}
    assert scheduler.enqueue("work", unique_key="mail:8") not in ids
    assert len(scheduler.runs()) == 2


def test_a_key_is_free_again_when_the_run_has_started(make: Make) -> None:
    """The default: what changed after the start deserves another run."""
    scheduler = make()
    seen: list[str] = []

    @scheduler.task()
    def work(run: Run) -> None:
        if not seen:
            seen.extend([run.id, scheduler.enqueue("work", unique_key="k")])

    first = scheduler.enqueue("work", unique_key="k")
    scheduler.tick()
    assert seen[0] == first
    assert seen[1] != first
    assert {run.state for run in scheduler.runs()} == {"succeeded"}
    assert len(scheduler.runs()) == 2


def test_a_key_can_be_held_until_the_end(make: Make, clock: VirtualClock) -> None:
    """``until_done`` holds while it runs and between its attempts."""
    scheduler = make()
    during: list[str] = []

    @scheduler.task(retry=Retry(2, wait=60, jitter=0))
    def work(run: Run) -> None:
        during.append(scheduler.enqueue("work", unique_key="k", unique="until_done"))
        if run.attempt == 1:
            raise RuntimeError("again")

    first = scheduler.enqueue("work", unique_key="k", unique="until_done")
    scheduler.tick()
    assert state(scheduler, first) == "scheduled"
    assert scheduler.enqueue("work", unique_key="k", unique="until_done") == first
    clock.advance(60)
    scheduler.tick()
    assert during == [first, first]
    assert state(scheduler, first) == "succeeded"
    assert scheduler.enqueue("work", unique_key="k", unique="until_done") != first


@pytest.mark.parametrize("ending", ["cancel", "expire", "fail", "discard"])
def test_every_end_frees_the_key(make: Make, clock: VirtualClock, ending: str) -> None:
    """Cancelled, missed, failed or discarded: the next call is stored."""
    scheduler = make()

    @scheduler.task(expires=30)
    def work() -> None:
        raise RuntimeError("no")

    first = scheduler.enqueue("work", unique_key="k", unique="until_done")
    if ending == "cancel":
        scheduler.cancel(first)
    elif ending == "expire":
        clock.advance(31)
        scheduler.tick()
        assert state(scheduler, first) == "missed"
    else:
        scheduler.tick()
        if ending == "discard":
            scheduler.discard(first, reason="no")
    assert scheduler.enqueue("work", unique_key="k", unique="until_done") != first


def test_racing_calls_with_one_key_are_one_run(make: Make) -> None:
    """Eight requests at the same moment, in several processes: one run, one id for all."""
    schedulers = [with_tasks(make()) for _ in range(4)]
    calls = [
        lambda held=held: held.enqueue("work", unique_key="k") for held in schedulers * 2
    ]  # fmt: skip
    assert len(set(at_once(*calls))) == 1
    assert len(schedulers[0].runs()) == 1


# ---------------------------------------------------------------------------------- run now


def test_running_now_is_a_run_beside_the_schedule(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Cause manual, with the actor; the schedule goes on untouched."""
    before = scheduler.add("work", every(seconds=60), id="j", args={"n": 1})
    run = scheduler.run_now("j", actor="ana")
    assert (run.state, run.cause, run.actor, run.scheduled_for, run.args) == (
        "ready", "manual", "ana", None, {"n": 1},
    )  # fmt: skip
    scheduler.tick()
    assert scheduler.run(run.id).result == 1
    job = scheduler.job("j")
    assert (job.next_fire_at, job.fired_count) == (before.next_fire_at, 0)
    clock.advance(60)
    scheduler.tick()
    assert len(scheduler.runs(job="j")) == 2


def test_running_now_with_other_arguments(scheduler: Scheduler) -> None:
    """All of them, for this run only; no arguments means none, not the job's."""
    scheduler.add("work", every(seconds=60), id="j", args={"n": 1})
    other = scheduler.run_now("j", args={"n": 9})
    scheduler.tick()
    none = scheduler.run_now("j", args={})
    scheduler.tick()
    assert scheduler.run(other.id).result == 9
    assert scheduler.run(none.id).result == 0
    assert scheduler.job("j").args == {"n": 1}


def test_running_now_works_on_a_paused_or_finished_job(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """That is when one wants it most."""
    scheduler.add("work", every(seconds=60), id="j")
    scheduler.pause("j")
    first = scheduler.run_now("j")
    scheduler.tick()
    assert state(scheduler, first.id) == "succeeded"
    scheduler.resume("j")
    scheduler.edit("j", end=after(1))
    assert scheduler.job("j").state == "finished"
    second = scheduler.run_now("j")
    scheduler.tick()
    assert state(scheduler, second.id) == "succeeded"


@pytest.mark.parametrize(
    ("overlap", "second"),
    [("skip", None), ("queue", "scheduled"), ("allow", "ready"), ("cancel_running", "scheduled")],
)
def test_running_now_respects_the_overlap_policy(
    scheduler: Scheduler, overlap: Overlap, second: str | None
) -> None:
    """A second run while the first waits: refused, lined up, beside it, or instead of it."""
    scheduler.add("work", every(seconds=60), id="j", overlap=overlap)
    first = scheduler.run_now("j")
    if second is None:
        with pytest.raises(OverlapError, match=r"'j' already has an unfinished run, .*is 'skip'"):
            scheduler.run_now("j")
        assert len(scheduler.runs()) == 1
        return
    run = scheduler.run_now("j")
    assert run.state == second
    for _ in range(3):
        scheduler.tick()
    assert state(scheduler, run.id) == "succeeded"
    first_state = "cancelled" if overlap == "cancel_running" else "succeeded"
    assert state(scheduler, first.id) == first_state


def test_waiting_for_the_result(make: Make) -> None:
    """``wait=`` returns the run when it is over; here the steps are taken meanwhile."""
    scheduler = with_tasks(make())
    scheduler.add("work", every(seconds=60), id="j", args={"n": 3})
    scheduler.add("fail", every(seconds=60), id="f")
    scheduler.tick()
    assert scheduler.run_now("j", wait=10).result == 3
    failed = scheduler.run_now("f", wait=10)
    assert (failed.state, failed.error_message) == ("failed", "it failed")


def test_waiting_ends_when_the_time_is_over(make: Make, clock: VirtualClock) -> None:
    """The run as it then is: still on its way, because nobody executes here."""
    scheduler = with_tasks(make())
    scheduler.add("work", every(seconds=60), id="j")
    done = threading.Event()
    answers: list[Any] = []

    def ask() -> None:
        answers.append(scheduler.run_now("j", wait=5))
        done.set()

    thread = threading.Thread(target=ask)
    thread.start()

    def pass_time() -> bool:
        clock.advance(1)
        return done.is_set()

    wait_until(pass_time, what="the end of the wait")
    thread.join()
    assert answers[0].state == "ready"


def test_running_a_job_of_an_unknown_task_says_so(make: Make) -> None:
    """This process cannot check its arguments."""
    with_tasks(make()).add("work", every(seconds=60), id="j")
    with pytest.raises(UnknownTask):
        make().run_now("j", args={"n": 1})


# ----------------------------------------------------------------------------------- cancel


def test_a_run_that_has_not_started_is_cancelled_at_once(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Ready or waiting for its time; it never runs; who did it is on record."""
    for run_id in (scheduler.enqueue("work"), scheduler.enqueue("work", delay=60)):
        run = scheduler.cancel(run_id, actor="ana")
        assert (run.state, run.reason, run.finished_at) == (
            "cancelled", "cancelled manually", clock.now(),
        )  # fmt: skip
    clock.advance(61)
    scheduler.tick()
    assert {run.state for run in scheduler.runs()} == {"cancelled"}
    events = scheduler.events(kind="run.cancelled")
    assert [(event.actor, bool(event.run_id)) for event in events] == [("ana", True)] * 2


def test_what_is_over_cannot_be_cancelled(scheduler: Scheduler) -> None:
    """Each final state says so and stays."""
    done, failed = scheduler.enqueue("work"), scheduler.enqueue("fail")
    scheduler.tick()
    discarded = scheduler.enqueue("fail")
    scheduler.tick()
    scheduler.discard(discarded, reason="x")
    for run_id, held in ((done, "succeeded"), (failed, "failed"), (discarded, "discarded")):
        with pytest.raises(StateError, match=f"is {held}; it cannot become cancelled"):
            scheduler.cancel(run_id)
        assert state(scheduler, run_id) == held


def test_cancelling_twice_is_refused(scheduler: Scheduler) -> None:
    """The second one finds it over."""
    run_id = scheduler.enqueue("work")
    scheduler.cancel(run_id)
    with pytest.raises(StateError, match="is cancelled"):
        scheduler.cancel(run_id)


def test_a_running_function_is_asked_to_stop(make: Make) -> None:
    """A coroutine is cancelled, the run ends as cancelled, and the key is free."""
    scheduler = make()
    started = threading.Event()

    @scheduler.task()
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    run_id = scheduler.enqueue("work", unique_key="k", unique="until_done")
    ticking = threading.Thread(target=scheduler.tick)
    ticking.start()
    assert started.wait(240)
    asked = scheduler.cancel(run_id, actor="ana")
    assert (asked.state, asked.cancel_requested) == ("running", True)

    def pass_time() -> bool:
        scheduler.clock.advance(1)  # type: ignore[attr-defined]
        return not ticking.is_alive()

    wait_until(pass_time, what="the end of the step")
    assert state(scheduler, run_id) == "cancelled"
    assert scheduler.enqueue("work", unique_key="k") != run_id


# ------------------------------------------------------------------------- retry and discard


def test_a_failed_run_is_tried_again_by_hand(make: Make) -> None:
    """Another attempt of the same run, with the actor; its past attempts stay."""
    scheduler = make()
    broken = [True]

    @scheduler.task()
    def work() -> str:
        if broken[0]:
            raise RuntimeError("no")
        return "yes"

    run_id = scheduler.enqueue(work)
    scheduler.tick()
    broken[0] = False
    again = scheduler.retry(run_id, actor="ana")
    assert (again.state, again.cause, again.actor, again.error_type, again.finished_at) == (
        "ready", "retry_by_hand", "ana", None, None,
    )  # fmt: skip
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.result, run.attempt) == ("succeeded", "yes", 2)
    assert [attempt.attempt for attempt in scheduler.attempts(run_id)] == [1]


def test_each_retry_by_hand_gives_the_policy_s_attempts(make: Make, clock: VirtualClock) -> None:
    """Two attempts each time, also at the third time by hand."""
    scheduler = make()
    calls: list[int] = []

    @scheduler.task(retry=Retry(2, wait=1, jitter=0))
    def work() -> None:
        calls.append(1)
        raise RuntimeError("no")

    run_id = scheduler.enqueue(work)
    for round_ in range(1, 5):
        for _ in range(10):
            scheduler.tick()
            clock.advance(5)
        assert (state(scheduler, run_id), len(calls)) == ("failed", 2 * round_)
        scheduler.retry(run_id)


def test_skipped_and_missed_times_can_be_run_after_all(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Their row becomes a run with its nominal time; other states are refused."""
    scheduler.add("work", every(seconds=60), id="j", misfire_grace=5)
    clock.advance(70)
    scheduler.tick()
    (missed,) = scheduler.runs(job="j")
    assert missed.state == "missed"
    scheduler.retry(missed.id)
    scheduler.tick()
    run = scheduler.run(missed.id)
    assert (run.state, run.scheduled_for) == ("succeeded", after(60))
    with pytest.raises(StateError, match="is succeeded; only failed, missed or skipped"):
        scheduler.retry(missed.id)
    ready = scheduler.enqueue("work")
    with pytest.raises(StateError, match="is ready"):
        scheduler.retry(ready)


def test_a_retry_by_hand_respects_the_overlap_policy(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Engine rule 12: whoever revives a run counts the job's others first."""
    scheduler.add("fail", every(seconds=60), id="j")
    clock.advance(60)
    scheduler.tick()
    (failed,) = scheduler.runs(job="j")
    scheduler.run_now("j")
    with pytest.raises(OverlapError, match="'j' already has an unfinished run"):
        scheduler.retry(failed.id)
    assert state(scheduler, failed.id) == "failed"


def test_a_failed_run_of_a_removed_job_can_be_retried(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """History outlives the job, and so does the wish to mend it."""
    scheduler.add("fail", every(seconds=60), id="j")
    clock.advance(60)
    scheduler.tick()
    (failed,) = scheduler.runs(job="j")
    scheduler.remove("j")
    scheduler.retry(failed.id)
    scheduler.tick()
    assert scheduler.run(failed.id).attempt == 2


def test_a_dead_letter_is_given_up_with_a_reason(scheduler: Scheduler) -> None:
    """Only failed ones; it is over for good."""
    run_id = scheduler.enqueue("fail")
    with pytest.raises(StateError, match="is ready; only failed runs can be discarded"):
        scheduler.discard(run_id, reason="x")
    scheduler.tick()
    assert scheduler.status().dead == 1
    run = scheduler.discard(run_id, reason="the customer left", actor="ana")
    assert (run.state, run.reason, run.error_type) == (
        "discarded", "the customer left", "RuntimeError",
    )  # fmt: skip
    assert scheduler.status().dead == 0
    for act in (lambda: scheduler.retry(run_id), lambda: scheduler.discard(run_id, reason="x")):
        with pytest.raises(StateError, match="is discarded"):
            act()


def test_two_people_retry_at_once(make: Make) -> None:
    """One of them is told that it is ready already; it runs once more, not twice."""
    one, two = with_tasks(make()), with_tasks(make())
    run_id = one.enqueue("fail")
    one.tick()

    def retry(scheduler: Scheduler) -> str:
        try:
            return scheduler.retry(run_id).state
        except StateError:
            return "refused"

    assert sorted(at_once(lambda: retry(one), lambda: retry(two))) == ["ready", "refused"]
    one.tick()
    assert one.run(run_id).attempt == 2


def test_cancel_and_start_at_one_moment(make: Make) -> None:
    """Either the run never starts, or its cancellation is asked for: never both, never neither."""
    one, two = with_tasks(make()), with_tasks(make())
    for _ in range(10):
        run_id = one.enqueue("work", n=1)

        def cancel(run_id: str = run_id) -> str:
            try:
                return two.cancel(run_id).state
            except StateError:
                return "too late"

        answer, _ = at_once(cancel, one.tick)
        run = one.run(run_id)
        if answer == "cancelled":
            assert (run.state, run.result, run.attempt) == ("cancelled", None, 0)
        else:
            assert run.state in ("succeeded", "cancelled")


# ------------------------------------------------------------------------------- listeners


def test_listeners_hear_of_calls_and_runs_in_order(scheduler: Scheduler) -> None:
    """What happened here, after it was stored."""
    heard: list[Event] = []
    scheduler.on("*", heard.append)
    run_id = scheduler.enqueue("fail")
    scheduler.tick()
    scheduler.retry(run_id)
    scheduler.cancel(run_id)
    kinds = [event.kind for event in heard if event.run_id == run_id]
    assert kinds == ["run.started", "run.failed", "run.revived", "run.cancelled"]
