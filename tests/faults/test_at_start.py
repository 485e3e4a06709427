"""``at_start=True``: a declared job also runs each time that its application starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from duly import JobDefaults, JobGroup, Run, Scheduler, VirtualClock, cron, every
from duly.errors import ConfigurationError
from duly.model.run import RunState
from tests.support.waiting import wait_until

Make = Callable[..., Scheduler]
NIGHTLY = cron("0 3 * * *")


class Deployment:
    """Processes of one application on one database, which declare a nightly job."""

    def __init__(self, url: str) -> None:
        self.url, self.clock = url, VirtualClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
        self._made: list[Scheduler] = []

    def process(self, *, at_start: bool = True, fires: bool = True, **options: Any) -> Scheduler:
        scheduler = Scheduler(self.url, clock=self.clock)
        scheduler.configure_worker(fires=fires)

        @scheduler.job(NIGHTLY, id="fetch", at_start=at_start, **options)
        def fetch(run: Run) -> str:
            return run.cause

        self._made.append(scheduler)
        return scheduler

    def start(self, scheduler: Scheduler) -> None:
        """Start, and wait until every run has ended."""
        scheduler.start()
        self.settle(scheduler)

    @staticmethod
    def settle(scheduler: Scheduler) -> None:
        wait_until(lambda: scheduler.state == "running")
        wait_until(lambda: all(run.is_terminal for run in scheduler.runs()))

    def close(self) -> None:
        for scheduler in self._made:
            scheduler.stop(grace=0)
            scheduler.store.dispose()


@pytest.fixture
def deployment(prepared_database_url: str) -> Iterator[Deployment]:
    made = Deployment(prepared_database_url)
    yield made
    made.close()


def causes(scheduler: Scheduler, state: RunState = "succeeded") -> list[str]:
    return [run.cause for run in scheduler.runs(job="fetch", state=state)]


def test_a_job_runs_at_the_start_with_its_cause(deployment: Deployment) -> None:
    """Its schedule stays as it is, and history tells why the run was created."""
    process = deployment.process()
    deployment.start(process)
    (run,) = process.runs()
    assert (run.job_id, run.cause, run.state, run.result) == (
        "fetch",
        "start",
        "succeeded",
        "start",
    )
    assert run.scheduled_for is None
    job = process.job("fetch")
    assert (job.options.at_start, job.fired_count) == (True, 0)
    assert job.next_fire_at == datetime(2026, 1, 2, 3, tzinfo=UTC)


def test_processes_that_start_together_are_one_start(deployment: Deployment) -> None:
    """Four web processes fetch once, and the next deploy fetches again."""
    process, *others = [deployment.process() for _process in range(3)]
    for one in (process, *others):
        deployment.start(one)
        deployment.clock.advance(20)
    assert causes(process) == ["start"]
    deployment.clock.advance(60)
    process.stop()
    deployment.start(process)
    assert causes(process) == ["start", "start"]


def test_no_start_without_the_option(deployment: Deployment) -> None:
    """A job that does not ask for it fires at its times only."""
    process = deployment.process(at_start=False)
    deployment.start(process)
    assert process.runs() == []


def test_a_process_that_only_executes_is_no_start(deployment: Deployment) -> None:
    """It executes what a process that fires creates."""
    worker = deployment.process(fires=False)
    deployment.start(worker)
    assert worker.runs() == []
    deployment.start(deployment.process())
    assert causes(worker) == ["start"]


def test_single_steps_are_no_start(deployment: Deployment) -> None:
    """Frozen platforms and tests step as often as they like."""
    process = deployment.process()
    process.tick()
    process.run_due()
    assert process.runs() == []


def test_a_paused_job_does_not_run_at_the_start(deployment: Deployment) -> None:
    """Paused is paused."""
    process = deployment.process()
    process.prepare()
    process.pause("fetch", reason="the source is down")
    deployment.start(process)
    assert process.runs() == []


def test_an_edit_switches_it_off_for_every_later_start(deployment: Deployment) -> None:
    """Manual edits take precedence over the declaration."""
    process = deployment.process()
    process.prepare()
    process.edit("fetch", at_start=False)
    deployment.start(process)
    assert process.runs() == []


def test_the_overlap_policy_decides_at_the_start_too(deployment: Deployment) -> None:
    """A run that is unfinished at the start is not joined by a second one."""
    process = deployment.process()
    process.prepare()
    process.run_now("fetch")
    deployment.start(process)
    assert causes(process) == ["manual"]
    assert causes(process, "skipped") == ["start"]


def test_a_job_that_is_declared_after_the_start_runs_at_once(deployment: Deployment) -> None:
    """A notebook cell, or a group that is included late."""
    process = deployment.process()
    deployment.start(process)
    group = JobGroup()

    @group.job(every(hours=1), id="late", at_start=True)
    def late() -> None: ...

    process.include(group)
    deployment.settle(process)
    assert [run.cause for run in process.runs(job="late")] == ["start"]


def test_only_jobs_that_code_declares_can_run_at_the_start(deployment: Deployment) -> None:
    """The answer names what runs a job once now."""
    process = deployment.process()
    process.prepare()
    process.add("fetch", every(hours=1), id="added")
    refused: list[Callable[[], object]] = [
        lambda: process.add("fetch", every(hours=1), at_start=True),
        lambda: process.add_many([{"task": "fetch", "trigger": NIGHTLY, "at_start": True}]),
        lambda: process.edit("added", at_start=True),
    ]
    for call in refused:
        with pytest.raises(ConfigurationError, match="applies to jobs that code declares"):
            call()
    with pytest.raises(ConfigurationError, match="cannot be a default"):
        Scheduler(defaults=JobDefaults(at_start=True))
    with pytest.raises(ConfigurationError, match="at_start is 1; it must be True or False"):
        JobDefaults(at_start=1)  # type: ignore[arg-type]
