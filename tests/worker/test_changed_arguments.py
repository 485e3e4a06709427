"""Runs that were stored before a deploy changed their function."""

from __future__ import annotations

from duly import Retry, every
from tests.worker.conftest import World


def test_rule_25_arguments_that_no_longer_fit_fail_the_run(world: World) -> None:
    """The run fails at once and for good as ArgumentsChanged; its job is listed as failing."""
    old, new = world.scheduler(), world.scheduler()
    old.task(name="work", retry=Retry(attempts=5, wait=1))(lambda number: None)
    called = []

    @new.task(name="work", retry=Retry(attempts=5, wait=1))
    def work(number: int, unit: str) -> None:
        called.append(number)

    old.add("work", every(seconds=60), id="j", args={"number": 7})
    run_id = old.enqueue("work", number=1)
    new.tick()
    world.forward(new, 60)
    by_job = new.runs(job="j")[0]
    for run in (new.run(run_id), by_job):
        assert (run.state, run.error_type, run.attempt) == ("failed", "ArgumentsChanged", 1)
        assert "unit: is missing" in (run.error_message or "")
    (job,) = new.jobs(failing=True)
    assert (job.id, job.state, job.consecutive_failures) == ("j", "active", 1)
    assert called == []
    world.forward(new, 3600)
    assert new.run(run_id).state == "failed"


def test_rule_25_a_run_of_an_unknown_task_waits_for_a_worker_that_knows_it(world: World) -> None:
    """During a rolling deploy old workers leave runs of new tasks alone, with or without a key."""
    old, new = world.scheduler(), world.scheduler()
    old.task(name="known")(lambda: None)
    new.task(name="fresh")(lambda: "done")
    ids = [new.enqueue("fresh"), new.enqueue("fresh", concurrency_key="k")]
    old.tick()
    assert [old.run(run_id).state for run_id in ids] == ["ready", "ready"]
    new.tick()
    assert [old.run(run_id).result for run_id in ids] == ["done", "done"]
