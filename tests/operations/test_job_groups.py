"""A `JobGroup` declares tasks and jobs in modules that import no scheduler."""

from __future__ import annotations

import types
from collections.abc import Iterator

import pytest

from duly import JobDefaults, JobGroup, Retry, Scheduler, cron, every
from duly.errors import (
    ArgumentsError,
    ConfigurationError,
    DuplicateTask,
    LifecycleError,
    UnknownOption,
)


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    made = Scheduler(prepared_sqlite_url, defaults=JobDefaults(timeout=7))
    yield made
    made.stop(0)


def billing() -> JobGroup:
    """A group as a module declares it."""
    jobs = JobGroup(tags=["billing"], queue="bills", retry=2, misfire_grace=60)

    @jobs.task()
    def send(order: int) -> int:
        return order

    @jobs.job(cron("0 3 * * *"), id="nightly", tags=["night"], queue="slow")
    @jobs.task(retry=5)
    def collect(since: int = 1) -> None: ...

    @jobs.job(after=["nightly"], misfire_grace=None)
    def report() -> None: ...

    jobs.send = send  # type: ignore[attr-defined]
    return jobs


def test_an_included_group_is_declared_as_if_by_the_scheduler(scheduler: Scheduler) -> None:
    """Tasks can be called and enqueued, jobs are stored, options and tags come from the group."""
    jobs = billing()
    scheduler.include(jobs)
    scheduler.include(jobs)  # changes nothing
    scheduler.prepare()
    nightly, report = scheduler.job("nightly"), scheduler.job("report")
    assert nightly.tags == ("billing", "night")
    assert nightly.options.queue == "slow"
    assert nightly.options.retry == Retry(5)
    assert (nightly.options.misfire_grace, nightly.options.timeout) == (60, 7)
    assert (report.queue, report.options.retry) == ("bills", Retry(2))
    send = jobs.send  # type: ignore[attr-defined]
    assert send(3) == 3
    run_id = send.enqueue(order=7)
    assert scheduler.run(run_id).queue == "bills"
    assert scheduler.run(scheduler.enqueue(send, order=8, queue="x")).queue == "x"
    assert scheduler.run(scheduler.enqueue("send", order=9)).args == {"order": 9}
    scheduler.add(send, every(hours=1), id="hourly", args={"order": 1})


def test_before_it_is_included_a_call_says_what_to_do() -> None:
    """A plain call works; ``enqueue`` names the missing ``include``."""
    send = billing().send  # type: ignore[attr-defined]
    assert send(3) == 3
    with pytest.raises(LifecycleError, match=r"scheduler\.include\(jobs\)"):
        send.enqueue(order=3)


def test_what_is_declared_after_the_include_is_included_too(scheduler: Scheduler) -> None:
    """Also in a scheduler that has started."""
    jobs = JobGroup()
    scheduler.include(jobs)
    scheduler.tick()

    @jobs.job(every(hours=1), id="late")
    def late() -> None: ...

    assert scheduler.job("late").task == "late"


def test_two_schedulers_may_include_one_group(scheduler: Scheduler, tmp_path) -> None:
    """Each call goes to the scheduler that was named; a call that names none is refused."""
    other = Scheduler(f"sqlite:///{tmp_path}/other.db")
    jobs = billing()
    scheduler.include(jobs)
    other.include(jobs)
    send = jobs.send  # type: ignore[attr-defined]
    for chosen in (scheduler, other):
        chosen.prepare()
        assert chosen.job("nightly").task == "collect"
        assert chosen.run(chosen.enqueue(send, order=7)).args == {"order": 7}
    with pytest.raises(LifecycleError, match=r"2 schedulers .* scheduler\.enqueue\(send"):
        send.enqueue(order=7)
    assert [len(each.runs()) for each in (scheduler, other)] == [1, 1]
    other.stop()
    del other, chosen
    assert send.enqueue(order=8)  # as in the next test of a suite whose factory makes schedulers
    assert len(scheduler.runs()) == 2


def test_a_job_of_a_task_of_another_group_brings_the_task(scheduler: Scheduler) -> None:
    """What was asked for runs, although only one of the groups is included."""
    tasks, jobs = JobGroup(), JobGroup()

    @tasks.task()
    def shared() -> str:
        return "done"

    jobs.job(every(hours=1), id="use")(shared)
    scheduler.include(jobs)
    scheduler.prepare()
    run = scheduler.run_now("use")
    scheduler.tick()
    assert scheduler.run(run.id).result == "done"


def test_mistakes_are_found_where_they_are_made(scheduler: Scheduler) -> None:
    """Wrong options by the decorator, wrong arguments by ``include``."""
    with pytest.raises(UnknownOption, match="retri"):
        JobGroup(retri=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="tags"):
        JobGroup(tags="x")
    jobs = JobGroup()
    with pytest.raises(UnknownOption, match="overlp"):
        jobs.job(every(hours=1), overlp="skip")  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="trigger"):
        jobs.job("0 9 * * *")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="parentheses"):
        jobs.task(test_mistakes_are_found_where_they_are_made)  # type: ignore[arg-type]

    @jobs.job(every(hours=1), args={"order": "seven"})
    def send(order: int) -> None: ...

    with pytest.raises(ArgumentsError, match="order"):
        scheduler.include(jobs)


def test_what_is_not_a_group_is_refused(scheduler: Scheduler) -> None:
    """A module is answered with the group that is in it."""
    module = types.ModuleType("billing")
    module.jobs = JobGroup()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=r"include\(billing\.jobs\)"):
        scheduler.include(module)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="JobGroup"):
        scheduler.include("billing")  # type: ignore[arg-type]


def test_two_functions_of_one_name_are_refused(scheduler: Scheduler) -> None:
    """Whether the other is the scheduler's own or another group's."""
    first, second = JobGroup(), JobGroup()

    def send() -> None: ...

    first.task()(send)

    @second.task("send")
    def other() -> None: ...

    scheduler.include(first)
    with pytest.raises(DuplicateTask, match="send"):
        scheduler.include(second)
