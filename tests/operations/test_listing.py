"""Looking: filters that all hold, pages without gaps, and counts that add up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from duly import Run, Scheduler, VirtualClock, every
from duly.errors import ConfigurationError, UnknownTask
from tests.operations.conftest import Make, after, with_tasks


@pytest.fixture
def jobs(scheduler: Scheduler) -> Scheduler:
    """Twelve jobs: tasks, tags, queues and states mixed."""
    for number in range(12):
        scheduler.add(
            "work" if number % 3 else "fail", every(seconds=60 + number), id=f"job-{number:02}",
            tags=[f"third:{number % 3}", "all"], queue="mail" if number % 4 == 0 else "default",
        )  # fmt: skip
    for number in (1, 5):
        scheduler.pause(f"job-{number:02}")
    return scheduler


def ids(found: list[Any]) -> list[str]:
    return [record.id for record in found]


def test_a_task_may_be_given_as_its_function(jobs: Scheduler) -> None:
    """Its function filters as its name does; a name may be known to other processes alone."""

    @jobs.task(name="listed")
    def listed() -> None: ...

    job = jobs.add(listed, every(hours=1), id="its-own")
    run_id = listed.enqueue()
    assert ids(jobs.jobs(task=listed)) == ids(jobs.jobs(task="listed")) == [job.id]
    assert ids(jobs.runs(task=listed)) == ids(jobs.runs(task="listed")) == [run_id]
    assert jobs.runs(task="of another process") == []
    with pytest.raises(UnknownTask, match="not registered"):
        jobs.runs(task=print)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, range(12)),
        ({"tag": "third:0"}, [0, 3, 6, 9]),
        ({"state": "paused"}, [1, 5]),
        ({"task": "fail"}, [0, 3, 6, 9]),
        ({"queue": "mail"}, [0, 4, 8]),
        ({"text": "JOB-1"}, [10, 11]),
        ({"text": "FAI"}, [0, 3, 6, 9]),
        ({"tag": "all", "state": "active", "queue": "mail", "task": "work"}, [4, 8]),
        ({"tag": "none"}, []),
        ({"ids": ["job-05", "job-03", "none"]}, [3, 5]),
        ({"ids": ["job-05", "job-03"], "state": "paused"}, [5]),
        ({"ids": []}, []),
        ({"limit": 3}, [0, 1, 2]),
        ({"after": "job-09"}, [10, 11]),
        ({"tag": "third:0", "after": "job-03", "limit": 1}, [6]),
        ({"order": "next_fire_at", "limit": 2}, [0, 1]),
        ({"failing": True}, []),
    ],
    ids=str,
)
def test_filters_all_hold_together(
    jobs: Scheduler, wanted: dict[str, Any], numbers: list[int]
) -> None:
    """Each by itself, several at once, by id."""
    assert ids(jobs.jobs(**wanted)) == [f"job-{number:02}" for number in numbers]


def test_pages_of_jobs_leave_nothing_out(jobs: Scheduler) -> None:
    """Page by page, with jobs coming and going between: each that stays is seen exactly once."""
    seen: list[str] = []
    page = jobs.jobs(limit=5)
    while page:
        seen += ids(page)
        if len(seen) == 5:
            jobs.remove("job-02")
            jobs.add("work", every(seconds=1), id="job-00a")
            jobs.add("work", every(seconds=1), id="job-99")
        page = jobs.jobs(limit=5, after=seen[-1])
    assert seen == sorted(set(seen))
    assert set(seen) == {f"job-{n:02}" for n in range(12)} | {"job-99"}


def test_odd_ids_page_as_well(scheduler: Scheduler) -> None:
    """Upper and lower case, umlauts, quotes and percent signs: the order is the database's own."""
    wanted = {"a", "B", "ä", "Ä", "z", "'", '"', "%", "_", "a b", "日本", "😀", "0", "-"}
    for job_id in wanted:
        scheduler.add("work", every(seconds=60), id=job_id)
    seen: list[str] = []
    while page := scheduler.jobs(limit=3, after=seen[-1] if seen else None):
        seen += ids(page)
    assert len(seen) == len(wanted)
    assert set(seen) == wanted
    for job_id in wanted:
        assert scheduler.job(job_id).id == job_id


def test_a_job_shows_its_newest_run(scheduler: Scheduler, clock: VirtualClock) -> None:
    """In lists and alone."""
    scheduler.add("work", every(seconds=10), id="j")
    scheduler.add("fail", every(seconds=10), id="k")
    assert scheduler.job("j").last_run is None
    for _ in range(2):
        clock.advance(10)
        scheduler.tick()
    held = {job.id: job.last_run for job in scheduler.jobs()}
    assert held["j"] == scheduler.runs(job="j", limit=1)[0] == scheduler.job("j").last_run
    assert held["k"] is not None
    assert held["k"].state == "failed"
    assert ids(scheduler.jobs(failing=True)) == ["k"]
    assert scheduler.job("k").consecutive_failures == 2


# ------------------------------------------------------------------------------------- runs


@pytest.fixture
def runs(scheduler: Scheduler, clock: VirtualClock) -> Scheduler:
    """Runs of two jobs over a minute, and some calls."""
    scheduler.add("work", every(seconds=10), id="good", tags=["t"])
    scheduler.add("fail", every(seconds=20), id="bad", tags=["t", "u"])
    for _ in range(6):
        clock.advance(10)
        scheduler.tick()
    scheduler.enqueue("work", queue="mail")
    scheduler.enqueue("work", delay=60)
    return scheduler


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 11), ({"job": "good"}, 6), ({"task": "fail"}, 3), ({"state": "failed"}, 3),
        ({"state": ["failed", "scheduled"]}, 4), ({"state": []}, 0), ({"queue": "mail"}, 1),
        ({"tag": "t"}, 9), ({"tag": "u"}, 3), ({"since": after(40)}, 7), ({"until": after(40)}, 4),
        ({"since": after(20), "until": after(40)}, 3), ({"text": "IT FAILED"}, 3),
        ({"text": "runtimeerror"}, 3), ({"text": "goo"}, 6), ({"limit": 4}, 4),
        ({"job": "good", "state": "failed"}, 0),
    ],
    ids=str,
)  # fmt: skip
def test_runs_are_filtered(runs: Scheduler, wanted: dict[str, Any], count: int) -> None:
    """Newest first, whatever is asked for."""
    found = runs.runs(**wanted)
    assert len(found) == count
    assert ids(found) == sorted(ids(found), reverse=True)


def test_pages_of_runs_leave_nothing_out(runs: Scheduler) -> None:
    """New runs come in front; the pages behind them do not shift."""
    wanted = ids(runs.runs())
    seen: list[str] = []
    while page := runs.runs(limit=4, after=seen[-1] if seen else None):
        seen += ids(page)
        runs.enqueue("work")
    assert seen == wanted


def test_counts_add_up(runs: Scheduler) -> None:
    """Status, lists and dead letters tell one story."""
    status = runs.status()
    assert status.jobs == {"active": 2}
    assert status.live == {"ready": 1, "scheduled": 1}
    assert status.last_day == {"succeeded": 6, "failed": 3, "ready": 1, "scheduled": 1}
    assert status.dead == 3
    assert (status.stopped, status.switch) == (False, None)
    assert [queue.name for queue in status.queues] == ["default"]
    assert [worker.id for worker in status.workers] == [status.worker_id]
    assert status.at == runs.clock.now()


def test_the_last_day_is_a_day(runs: Scheduler, clock: VirtualClock) -> None:
    """Older runs are history, not "the last day"."""
    clock.advance(days=1, seconds=-30)
    assert sum(runs.status().last_day.values()) == 8
    clock.advance(31)
    assert runs.status().last_day == {}


def test_events_are_paged_by_their_ids(runs: Scheduler) -> None:
    """Oldest first or newest first, by kind, by job, between two ids."""
    every_one = runs.events()
    numbers = [event.id or 0 for event in every_one]
    assert numbers == sorted(set(numbers))
    assert runs.events(newest=True) == every_one[::-1]
    assert runs.events(after=numbers[1], before=numbers[4]) == every_one[2:4]
    assert runs.events(newest=True, before=numbers[3], limit=2) == [every_one[2], every_one[1]]
    assert {event.kind for event in runs.events(kind="run.failed")} == {"run.failed"}
    assert {event.job_id for event in runs.events(job="bad")} == {"bad"}


def test_a_run_tells_everything_about_itself(runs: Scheduler) -> None:
    """The record, its attempts and its log."""
    run = runs.runs(job="bad", limit=1)[0]
    assert runs.run(run.id) == run
    assert (run.error_type, run.error_message, run.attempt, run.max_attempts) == (
        "RuntimeError", "it failed", 1, 1,
    )  # fmt: skip
    (attempt,) = runs.attempts(run.id)
    assert (attempt.error_type, attempt.attempt, attempt.run_id) == ("RuntimeError", 1, run.id)
    assert "it failed" in (attempt.traceback or "")
    assert runs.run_log(run.id) == []


def test_a_log_comes_in_pages(make: Make) -> None:
    """Oldest line first, each once; whoever follows a run asks for what came since."""
    scheduler = make()

    @scheduler.task()
    def talk(run: Run) -> None:
        for number in range(5):
            run.log.info("line %s", number)

    run_id, other_id = (scheduler.enqueue(talk) for _ in range(2))
    scheduler.tick()
    lines = scheduler.run_log(run_id)
    assert [line.message for line in lines] == [f"line {number}" for number in range(5)]
    first = scheduler.run_log(run_id, limit=2)
    second = scheduler.run_log(run_id, after=first[-1].id or 0, limit=2)
    rest = scheduler.run_log(run_id, after=second[-1].id or 0)
    assert (first, second, rest) == (lines[:2], lines[2:4], lines[4:])
    assert len({line.id for line in lines + scheduler.run_log(other_id)}) == 10
    assert scheduler.run_log(run_id, after=10**30) == []
    with pytest.raises(ConfigurationError, match="1 to 1000"):
        scheduler.run_log(run_id, limit=0)


def test_another_process_sees_the_same(runs: Scheduler, make: Make) -> None:
    """Nothing that can be asked lives in memory."""
    other = with_tasks(make())
    assert other.jobs() == runs.jobs()
    assert other.runs() == runs.runs()
    assert other.events() == runs.events()
    assert other.next_fires("good") == runs.next_fires("good")
    assert other.missed("good") == runs.missed("good")
    assert other.workers() == runs.workers()


def test_workers_show_who_takes_part(make: Make, clock: VirtualClock) -> None:
    """Name, host, process, version, queues, and until when their lease holds."""
    one, two = (
        make(name="shop", version="1.4.2", queues={"default": 3}),
        make(name="blog", heartbeat="fast"),
    )
    one.tick()
    clock.advance(1)
    two.tick()
    first, second = one.workers()
    assert (first.app, first.queues, second.app) == ("shop", {"default": 3}, "blog")
    assert first.pid == second.pid
    assert (first.app_version, second.app_version) == ("1.4.2", None)
    assert second.lease_until - second.beat_at == timedelta(seconds=5)
    assert (first.draining, second.draining) == (False, False)
    one.stop(grace=0)
    assert [worker.id for worker in two.workers()] == [second.id]


def test_ids_and_counts_are_those_of_the_list(jobs: Scheduler) -> None:
    """The ids of all that match come in pages, in an order that changes of them do not affect."""
    assert jobs.job_ids(tag="third:0") == ids(jobs.jobs(tag="third:0"))
    first = jobs.job_ids(limit=5)
    assert first.more
    rest = jobs.job_ids(after=first[-1])
    assert [*first, *rest] == ids(jobs.jobs())
    assert not rest.more
    assert jobs.count_jobs(tag="third:0") == 4
    runs = [jobs.run_now(f"job-{number:02}").id for number in range(3)]
    assert jobs.run_ids() == runs
    assert jobs.run_ids(after=runs[0], limit=1) == [runs[1]]
    assert jobs.run_ids(job="job-01") == ids(jobs.runs(ids=runs, job="job-01")) == [runs[1]]
    assert jobs.count_runs(state="ready") == 3
    assert jobs.count_runs(ids=runs[1:]) == 2


@pytest.mark.parametrize("ids", ["job-01", 5, [5], ["x"] * 1001])
def test_ids_are_a_list_of_at_most_1000(jobs: Scheduler, ids: Any) -> None:
    """One id alone is a mistake, and a run's id has the form of one."""
    with pytest.raises(ConfigurationError, match="ids"):
        jobs.jobs(ids=ids)
    with pytest.raises(ConfigurationError, match="ids"):
        jobs.runs(ids=ids)


def test_a_search_looks_at_some_and_continues(jobs: Scheduler) -> None:
    """With ``look``, a page may be empty although there are more; ``looked`` leads on."""
    first = jobs.jobs(task="fail", look=3)
    assert (ids(first), first.more, first.looked) == (["job-00"], True, "job-02")
    rest = jobs.jobs(task="fail", after=first.looked, look=100)
    assert (ids(rest), rest.more, rest.looked) == (["job-03", "job-06", "job-09"], False, None)
    full = jobs.jobs(task="fail", look=12, limit=2)
    assert (ids(full), full.more, full.looked) == (["job-00", "job-03"], True, None)


def test_a_search_of_runs_looks_in_their_order(jobs: Scheduler) -> None:
    """Newest first or oldest first; of one job, only its own runs count."""
    runs = [jobs.run_now(f"job-{number:02}").id for number in (0, 1, 2, 4)]
    found = jobs.runs(task="fail", look=2)
    assert (ids(found), found.looked) == ([], runs[2])
    assert ids(jobs.runs(task="fail", look=2, after=found.looked)) == [runs[0]]
    oldest = jobs.runs(task="fail", look=1, order="oldest")
    assert (ids(oldest), oldest.looked) == ([runs[0]], runs[0])
    assert ids(jobs.runs(job="job-00", queue="mail", look=2)) == [runs[0]]
    assert ids(jobs.runs(cause="manual", queue="mail", look=9)) == [runs[3], runs[0]]
    assert jobs.runs(cause="schedule") == []


@pytest.mark.parametrize("wrong", [{"look": 0}, {"look": True}, {"look": 10**7}])
def test_a_search_has_bounds(jobs: Scheduler, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="look"):
        jobs.jobs(**wrong)
    with pytest.raises(ConfigurationError, match="look"):
        jobs.runs(**wrong)


def test_the_last_outcomes_of_jobs(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Of each job the newest runs, newest first; an owner restricts them."""
    for name, owner in (("a", None), ("b", "acme"), ("c", None)):
        scheduler.add("fail" if name == "b" else "work", every(seconds=10), id=name, owner=owner)
    for _ in range(3):
        clock.advance(10)
        scheduler.tick()
    found = scheduler.last_outcomes(["a", "b", "none"], limit=2)
    assert [run.id for run in found["a"]] == ids(scheduler.runs(job="a", limit=2))
    assert {run.state for run in found["a"]} == {"succeeded"}
    assert (found["none"], len(found["b"]), found["a"][0].duration is not None) == ([], 2, True)
    own = scheduler.last_outcomes(["a", "b"], owners=["acme"])
    assert (own["a"], [run.state for run in own["b"]][-1]) == ([], "failed")
    many = scheduler.last_outcomes([f"x{number}" for number in range(120)])
    assert not any(many.values())
    with pytest.raises(ConfigurationError, match="limit"):
        scheduler.last_outcomes(["a"], limit=51)
