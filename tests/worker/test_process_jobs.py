"""``scope="process"``: a job that each process executes for itself; nothing of it is stored."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from duly import (
    JobDefaults,
    JobGroup,
    Retry,
    Run,
    Scheduler,
    VirtualClock,
    at,
    cron,
    every,
    weekends,
)
from duly.errors import ConfigurationError, LifecycleError, RunFailed, RunInterrupted
from duly.model.worker import MAX_REPORTS_BYTES, ProcessJobRecord, decode_reports, encode_reports
from duly.store.tables import attempt, decision_range, event, job, run
from duly.testing import testing
from tests.support.waiting import wait_until

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERY_30 = every(seconds=30)
Make = Callable[..., Scheduler]


@pytest.fixture
def make(prepared_sqlite_url: str) -> Iterator[Make]:
    """Makes processes of one application on one database."""
    made: list[Scheduler] = []

    def scheduler(**settings: Any) -> Scheduler:
        settings.setdefault("clock", VirtualClock(START))
        made.append(Scheduler(settings.pop("url", prepared_sqlite_url), **settings))
        return made[-1]

    yield scheduler
    for each in made:
        each.stop(grace=0)
        each.store.dispose()


def step(scheduler: Scheduler, seconds: float = 0) -> None:
    """Let virtual time pass, and take one step."""
    clock: Any = scheduler.clock
    clock.advance(seconds)
    scheduler.tick()


def report(scheduler: Scheduler, of: str = "refresh") -> ProcessJobRecord:
    """What the worker of this process reports about a process job."""
    (worker,) = [each for each in scheduler.workers() if each.id == scheduler.worker_id]
    (found,) = [each for each in worker.process_jobs if each.id == of]
    return found


def test_each_process_executes_it_for_itself_and_nothing_is_stored(make: Make) -> None:
    """Two processes refresh their caches; there is no job, no run, no decision and no event."""
    refreshed: list[str] = []

    def declare(scheduler: Scheduler, name: str) -> Scheduler:
        @scheduler.job(EVERY_30, scope="process", id="refresh")
        def refresh() -> None:
            refreshed.append(name)

        return scheduler

    one, two = declare(make(), "one"), declare(make(), "two")
    for process in (one, two):
        step(process)
        step(process, 30)
        step(process, 30)
    assert refreshed == ["one", "one", "two", "two"]
    assert (one.jobs(), one.runs()) == ([], [])
    with one.store.read() as conn:
        for table in (job, run, attempt, decision_range):
            assert conn.execute(select(func.count()).select_from(table)).scalar_one() == 0
        kinds = set(conn.execute(select(event.c.kind)).scalars())
    assert not {kind for kind in kinds if not kind.startswith("worker.")}


def test_a_worker_that_does_not_fire_executes_it_too(make: Make) -> None:
    """Each process whose worker runs, `duly worker` included."""
    scheduler, calls = make(), list[int]()
    scheduler.configure_worker(fires=False)
    scheduler.job(EVERY_30, scope="process", id="refresh")(lambda_named(calls))
    step(scheduler)
    step(scheduler, 30)
    assert calls == [1]


def lambda_named(calls: list[int]) -> Callable[[], None]:
    def refresh() -> None:
        calls.append(1)

    return refresh


def test_the_run_tells_what_is_executed(make: Make) -> None:
    """A function that asks for its run gets an id of its own, the nominal time and its history."""
    scheduler, seen = make(), list[Run]()
    successes: list[datetime | None] = []

    @scheduler.job(EVERY_30, scope="process", args={"name": "rates"})
    def refresh(run: Run, name: str) -> str:
        assert name == "rates"
        seen.append(run)
        successes.append(run.previous_success)
        run.check()
        run.log.info("refreshed")
        return "ok"

    step(scheduler)
    step(scheduler, 30)
    step(scheduler, 31)
    first, second = seen
    assert first.id != second.id
    assert (first.job_id, first.task, first.cause) == ("refresh", "refresh", "schedule")
    assert (first.attempt, first.max_attempts) == (1, 1)
    assert first.scheduled_for == START + timedelta(seconds=30)
    assert second.scheduled_for == START + timedelta(seconds=60)
    assert second.started_at == START + timedelta(seconds=61)
    assert successes == [None, START + timedelta(seconds=30)]


def test_a_coroutine_runs_on_the_event_loop_of_the_application(make: Make) -> None:
    """As coroutine jobs do."""
    scheduler, loops = make(), list[object]()

    @scheduler.job(EVERY_30, scope="process")
    async def refresh() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> None:
        await scheduler.aio.tick()
        clock: Any = scheduler.clock
        clock.advance(30)
        await scheduler.aio.tick()
        assert loops == [asyncio.get_running_loop()]
        await scheduler.aio.stop()

    asyncio.run(main())


def test_times_that_passed_unattended_are_one_run(make: Make) -> None:
    """After an hour of sleep the cache is refreshed once, for the latest time."""
    scheduler, seen = make(), list[Run]()

    @scheduler.job(EVERY_30, scope="process")
    def refresh(run: Run) -> None:
        seen.append(run)

    step(scheduler)
    step(scheduler, 3605)
    assert [run.scheduled_for for run in seen] == [START + timedelta(seconds=3600)]
    found = report(scheduler)
    assert (found.runs, found.skipped) == (1, 119)
    assert found.next_at == START + timedelta(seconds=3630)


def test_a_time_later_than_its_grace_is_skipped(make: Make) -> None:
    """By the rules of stored jobs."""
    scheduler, calls = make(), list[int]()
    scheduler.job(cron("0 * * * *"), scope="process", misfire_grace=10)(lambda_named(calls))
    step(scheduler)
    step(scheduler, 3600 + 11)
    assert (calls, report(scheduler).skipped) == ([], 1)
    step(scheduler, 3600 - 11)
    assert (calls, report(scheduler).skipped) == ([1], 1)


def test_start_and_end_bound_its_times(make: Make) -> None:
    """By the rules of stored jobs."""
    scheduler, calls = make(), list[int]()
    start, end = START + timedelta(minutes=10), START + timedelta(minutes=11)
    scheduler.job(cron("* * * * *"), scope="process", start=start, end=end)(lambda_named(calls))
    step(scheduler)
    for _minute in range(15):
        step(scheduler, 60)
    assert calls == [1, 1]
    assert report(scheduler).next_at is None


def test_jitter_differs_between_processes(make: Make) -> None:
    """The processes of a fleet do not ask the same service at the same instant."""
    delays = set()
    for _process in range(2):
        scheduler, calls = make(), list[int]()
        scheduler.job(cron("0 * * * *"), scope="process", jitter=300)(lambda_named(calls))
        for second in range(3590, 3901, 10):
            step(scheduler, second if second == 3590 else 10)
            if calls:
                delays.add(report(scheduler).last_at)
                break
    assert len(delays) == 2
    assert all(moment >= START + timedelta(hours=1) for moment in delays if moment)


def test_it_does_not_overlap_with_itself(make: Make) -> None:
    """A time that finds the function executing is skipped, in this process only."""
    scheduler, release, calls = make(), threading.Event(), list[int]()

    @scheduler.job(EVERY_30, scope="process")
    def refresh() -> None:
        calls.append(1)
        release.wait(10)

    clock: Any = scheduler.clock
    step(scheduler)
    for _time in range(3):
        clock.advance(30)
        assert scheduler.tick(wait=False)
    found = report(scheduler)
    assert (calls, found.skipped, found.runs) == ([1], 2, 0)
    assert found.running_since == START + timedelta(seconds=30)
    release.set()
    step(scheduler)
    found = report(scheduler)
    assert (found.running_since, found.runs) == (None, 1)


def test_a_failure_is_reported_and_logged_as_that_of_any_run(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """An error with its traceback in the log, in the worker's report, and a problem of health."""
    scheduler, fails = make(), [True]

    @scheduler.job(EVERY_30, scope="process")
    def refresh() -> None:
        if fails[0]:
            raise LookupError("no rates; password=hunter2")

    step(scheduler)
    with caplog.at_level(logging.ERROR, "duly.worker"):
        step(scheduler, 30)
        step(scheduler, 30)
    line: Any = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert (line.levelno, line.name) == (logging.ERROR, "duly.worker")
    assert (line.duly_job, line.duly_task, line.duly_attempt) == ("refresh", "refresh", 1)
    assert line.exc_info is not None
    assert "in refresh" in line.exc_text
    found = report(scheduler)
    assert (found.last_outcome, found.failures, found.runs) == ("failed", 2, 2)
    assert found.error == "LookupError: no rates; password=hunter2"
    assert found.last_at == START + timedelta(seconds=60)
    (problem,) = scheduler.health().problems
    assert (problem.check, problem.level) == ("process jobs", "problem")
    assert problem.text.startswith("job 'refresh' fails in its only process (")
    assert "LookupError: no rates" in (problem.advice or "")
    assert "hunter2" not in str(problem)
    fails[0] = False
    step(scheduler, 30)
    assert (report(scheduler).last_outcome, report(scheduler).failures) == ("succeeded", 0)
    assert scheduler.health().problems == []


def test_a_timeout_fails_it_at_once_and_the_function_keeps_its_place(make: Make) -> None:
    """A thread cannot be interrupted: no further run starts beside it."""
    scheduler, release, stopped = make(), threading.Event(), list[bool]()

    @scheduler.job(EVERY_30, scope="process", timeout=5)
    def refresh(run: Run) -> None:
        release.wait(10)
        stopped.append(run.cancelled)

    clock: Any = scheduler.clock
    step(scheduler)
    clock.advance(30)
    scheduler.tick(wait=False)
    step(scheduler, 5)
    found = report(scheduler)
    assert (found.last_outcome, found.error) == ("failed", "TimedOut: took longer than its 5 s")
    step(scheduler, 30)
    assert report(scheduler).skipped == 1
    release.set()
    wait_until(lambda: report(scheduler).running_since is None)
    assert (stopped, report(scheduler).runs) == ([True], 1)


def test_the_heartbeat_stores_the_report(make: Make) -> None:
    """Other processes see what this one has done, without a transaction of its own."""
    scheduler, other = make(), make()
    scheduler.job(EVERY_30, scope="process", id="refresh")(lambda_named([]))
    step(scheduler)
    step(scheduler, 30)
    step(scheduler, 30)  # beats at its beginning
    (worker,) = other.workers()
    (found,) = worker.process_jobs
    assert (found.id, found.runs, found.last_outcome) == ("refresh", 1, "succeeded")
    assert found.trigger == "every 30 seconds"
    (shown,) = worker.to_dict()["process_jobs"]
    assert (shown["last_at"], shown["error"]) == ("2026-01-01T12:00:30Z", None)


def test_a_failure_elsewhere_is_a_problem_for_all(make: Make) -> None:
    """Each process knows of it, and says where."""
    failing, fine = make(), make()

    @failing.job(EVERY_30, scope="process", id="refresh")
    def refresh() -> None:
        raise LookupError("no rates")

    fine.job(EVERY_30, scope="process", id="refresh")(lambda_named([]))
    for process in (failing, fine):
        step(process)
        step(process, 30)
    step(failing, 10)
    (problem,) = fine.health().problems
    assert problem.text.startswith("job 'refresh' fails in 1 of 2 processes (")


def test_the_report_is_bounded() -> None:
    """A thousand failing jobs do not make a heartbeat of a megabyte; the failing are kept."""
    records = [
        ProcessJobRecord(
            f"{number:04}" + "\N{SNOWMAN}" * 187, "task", "every day",
            last_outcome="failed" if number == 999 else "succeeded",
            last_at=START, error="\N{SNOWMAN}" * 500,
        )
        for number in range(1000)
    ]  # fmt: skip
    text = encode_reports(records)
    assert len(text) <= MAX_REPORTS_BYTES
    kept = decode_reports(text)
    assert kept[-1] == records[999]
    assert kept[:-1] == records[: len(kept) - 1]


@pytest.mark.parametrize("text", ["[1]", "{}", '[{"id":"a"}]', "broken", '[{"next_at":3}]'])
def test_a_report_of_another_version_is_left_out(text: str) -> None:
    """A rolling deploy does not break the list of workers."""
    assert decode_reports(text) == []


def test_it_obeys_the_switch(make: Make) -> None:
    """While the scheduler is switched off, nothing starts; then the latest time runs."""
    scheduler, calls = make(), list[int]()
    scheduler.job(EVERY_30, scope="process")(lambda_named(calls))
    step(scheduler)
    scheduler.stop_all()
    step(scheduler, 60)
    assert calls == []
    scheduler.start_all()
    step(scheduler, 30)
    assert (calls, report(scheduler, "refresh").skipped) == ([1], 2)


def test_it_runs_at_the_start_of_each_process_and_without_a_database(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What it refreshes is needed although the database does not answer."""
    scheduler = Scheduler(f"sqlite:///{tmp_path}/missing/app.db")
    causes: list[str] = []

    @scheduler.job(every(seconds=0.05), scope="process", at_start=True)
    def refresh(run: Run) -> None:
        causes.append(run.cause)

    scheduler.start()
    wait_until(lambda: len(causes) > 2)
    assert scheduler.state == "starting"
    scheduler.stop(grace=5)
    number = len(causes)
    assert causes[:2] == ["start", "schedule"]
    assert causes.count("start") == 1
    assert not [thread for thread in threading.enumerate() if "process-jobs" in thread.name]
    assert len(causes) == number
    assert len([line for line in caplog.messages if "does not exist; create it" in line]) == 1
    assert not [record for record in caplog.records if record.exc_info]


def test_it_runs_beside_slots_that_are_all_taken(make: Make) -> None:
    """It takes no slot of a queue, and holds up nothing that waits for one."""
    scheduler, release, calls = make(queues={"default": 1}), threading.Event(), list[int]()
    clock: Any = scheduler.clock

    @scheduler.task()
    def wait() -> None:
        release.wait(10)

    scheduler.job(EVERY_30, scope="process")(lambda_named(calls))
    wait.enqueue()
    scheduler.tick(wait=False)
    clock.advance(30)
    scheduler.tick(wait=False)
    wait_until(lambda: calls == [1])
    release.set()


def test_a_stop_waits_for_it_and_then_interrupts_it(make: Make) -> None:
    """It gets the grace period, and `run.check` ends it; that is not a failure."""
    scheduler = make(clock=None)
    begun, ended = threading.Event(), list[str]()

    @scheduler.job(every(hours=1), scope="process", at_start=True)
    def refresh(run: Run) -> None:
        begun.set()
        try:
            while True:
                run.check()
        except RunInterrupted:
            ended.append("interrupted")
            raise

    scheduler.start()
    assert begun.wait(10)
    scheduler.stop(grace=0.1)
    assert ended == ["interrupted"]


def test_it_may_not_wait_for_itself(make: Make) -> None:
    """A stop inside a process job would wait for its own end."""
    scheduler, errors = make(), list[LifecycleError]()

    @scheduler.job(EVERY_30, scope="process")
    def refresh() -> None:
        try:
            scheduler.stop()
        except LifecycleError as error:
            errors.append(error)

    step(scheduler)
    step(scheduler, 30)
    assert "would wait for that run" in str(errors[0])


def test_virtual_time_executes_it_in_order(make: Make) -> None:
    """`duly.testing` lets it run at its times, and raises what it raises."""
    scheduler, seen = make(clock=None), list[datetime]()

    @scheduler.job(EVERY_30, scope="process")
    def refresh(run: Run) -> None:
        seen.append(run.now())

    @scheduler.job(every(minutes=10), scope="process", timeout=5)
    def fetch(run: Run) -> None:
        world.clock.advance(6)

    @scheduler.job(every(minutes=20), scope="process")
    async def fail() -> None:
        raise LookupError("no rates")

    with testing(scheduler, at="2026-01-01T12:00Z") as world:
        world.drain()
        world.advance(minutes=5)
        assert seen == [START + timedelta(seconds=30 * number) for number in range(1, 11)]
        with pytest.raises(RunFailed, match="TimedOut: took longer than its 5 s"):
            world.advance(minutes=5)
        with pytest.raises(LookupError, match="no rates"), world.expecting(RunFailed):
            world.advance(minutes=10)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"retry": 3}, "after a failure it runs again at its next time"),
    ({"retry": Retry()}, "retry= does not apply"),
    ({"queue": "mail"}, "takes no slot of a queue"),
    ({"priority": 1}, "takes no slot of a queue"),
    ({"overlap": "queue"}, "never overlaps with itself"),
    ({"max_running": 2}, "never overlaps with itself"),
    ({"catch_up": "all"}, "misfire_grace= bounds"),
    ({"unique_key": "a"}, "not stored"),
    ({"concurrency_key": "a"}, "what the others execute"),
    ({"on_crash": "fail"}, "nothing is left of it"),
    ({"expires": 5}, "misfire_grace= bounds"),
    ({"keep": 5}, "not stored"),
    ({"max_fires": 5}, "end= bounds"),
    ({"watch": 60}, "health() reports"),
    ({"ping": "https://example.org"}, "in the function"),
    ({"tags": ["a"]}, "find stored jobs"),
    ({"paused": True}, "start= delays"),
    ({"after": ["other"]}, "give it a trigger"),
    ({"transactional": True}, "open a session in the function"),
    ({"executor": "process"}, "in itself"),
]


@pytest.mark.parametrize(("options", "cure"), REFUSED, ids=lambda value: str(value)[:30])
def test_options_without_sense_are_refused_with_the_cure(
    make: Make, options: dict[str, Any], cure: str
) -> None:
    """The message names the option, and what holds instead."""
    trigger = None if "after" in options else EVERY_30
    with pytest.raises(ConfigurationError, match="does not apply") as caught:
        make().job(trigger, scope="process", **options)
    assert next(iter(options)) in str(caught.value)
    assert cure in str(caught.value)


def test_defaults_that_it_cannot_have_are_ignored(make: Make) -> None:
    """A scheduler's and a group's defaults are for stored jobs; a time limit holds for all."""
    scheduler = make(clock=None, defaults=JobDefaults(retry=Retry(3), timeout=7))
    group = JobGroup(queue="mail", tags=["a"], overlap="allow")

    @group.job(EVERY_30, scope="process")
    def refresh() -> None:
        world.clock.advance(8)

    scheduler.include(group)
    assert scheduler.declared() == []
    with testing(scheduler) as world:
        world.drain()
        with pytest.raises(RunFailed, match="took longer than its 7 s"):
            world.advance(30)


def test_other_mistakes_are_refused(make: Make) -> None:
    """A wrong scope, no trigger, a stored calendar, an id twice, a transactional task."""
    scheduler = make()
    refresh: Any = scheduler.task()(lambda_named([]))
    charge: Any = scheduler.task("charge", transactional=True)(charge_in_session)
    with pytest.raises(ConfigurationError, match="scope is 'all'"):
        scheduler.job(EVERY_30, scope="all")  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="give a trigger"):
        scheduler.job(scope="process")(refresh)
    with pytest.raises(ConfigurationError, match="open a session in the function"):
        scheduler.job(EVERY_30, scope="process")(charge)
    with pytest.raises(ConfigurationError, match="does not read stored calendars"):
        scheduler.job(EVERY_30.excluding("holidays"), scope="process")(refresh)
    for _time in range(2):
        scheduler.job(EVERY_30.excluding(weekends()), scope="process", id="a")(refresh)
    with pytest.raises(ConfigurationError, match="declared twice"):
        scheduler.job(at(START), id="a")(refresh)
    with pytest.raises(ConfigurationError, match="declared twice"):
        scheduler.job(at(START), scope="process", id="a")(refresh)


def charge_in_session(session: Session) -> None: ...
