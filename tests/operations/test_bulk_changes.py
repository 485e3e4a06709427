"""Changes of all runs, or all jobs, that match a filter."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from duly import Scheduler, VirtualClock, every
from duly.errors import ConfigurationError, NaiveDatetimeError, UnknownOption
from duly.model.policy import Overlap
from duly.operations import batches
from duly.store.transaction import Transaction
from tests.operations.conftest import START, Make, after, with_tasks


@pytest.fixture
def failed(scheduler: Scheduler) -> list[str]:
    """Six dead letters: three of the task ``fail``, three of ``other``, which raises KeyError."""

    @scheduler.task()
    def other() -> None:
        raise KeyError("x")

    ids = [scheduler.enqueue(task) for task in ("fail", "other") for _ in range(3)]
    scheduler.run_due()
    assert {run.state for run in scheduler.runs()} == {"failed"}
    return ids


def states(scheduler: Scheduler, ids: list[str]) -> list[str]:
    return [scheduler.run(run_id).state for run_id in ids]


def snapshot(scheduler: Scheduler) -> list[Any]:
    return [scheduler.runs(limit=1000), scheduler.jobs(), scheduler.events(limit=1000)]


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.retry_runs(task="fail", dry_run=True),
        lambda s: s.discard_runs(error_type="RuntimeError", reason="x", dry_run=True),
        lambda s: s.retry_runs(task="fail", state=["failed", "missed"], dry_run=True),
    ],
)
def test_a_dry_run_counts_exactly_and_changes_nothing(
    scheduler: Scheduler, failed: list[str], call: Any
) -> None:
    """Three of six runs match."""
    before = snapshot(scheduler)
    result = call(scheduler)
    assert (result.matched, result.changed, result.refused, result.dry_run) == (3, 0, {}, True)
    assert snapshot(scheduler) == before


def test_all_runs_of_a_group_are_retried(scheduler: Scheduler, failed: list[str]) -> None:
    """The others stay; each run has its event, and the whole has one that says who and what."""
    result = scheduler.retry_runs(task="fail", error_type="RuntimeError", actor="ana")
    assert (result.matched, result.changed, result.refused) == (3, 3, {})
    assert states(scheduler, failed) == ["ready"] * 3 + ["failed"] * 3
    revived = scheduler.events(kind="run.revived")
    assert [(event.run_id, event.actor) for event in revived] == [
        (run_id, "ana") for run_id in failed[:3]
    ]
    (bulk,) = scheduler.events(kind="runs.retried")
    assert bulk.actor == "ana"
    assert bulk.detail == {
        "filter": {"task": "fail", "error_type": "RuntimeError", "states": ["failed"]},
        "matched": 3, "changed": 3, "refused": {},
    }  # fmt: skip


def test_a_bulk_retry_is_as_many_single_ones(scheduler: Scheduler, failed: list[str]) -> None:
    """The same columns change in the same way."""
    scheduler.retry(failed[0])
    scheduler.retry_runs(task="fail")
    alone, together = (scheduler.run(run_id) for run_id in failed[:2])
    differ = {"id", "created_at", "finished_at", "started_at", "claim_id"}
    rest = [name for name in type(alone).layout.names if name not in differ]
    assert {name: getattr(alone, name) for name in rest} == {
        name: getattr(together, name) for name in rest
    }


def test_dead_letters_are_discarded_with_a_reason(scheduler: Scheduler, failed: list[str]) -> None:
    """Discarded runs are kept with the reason."""
    assert scheduler.discard_runs(text="KeyError", reason="the file is gone").changed == 3
    assert states(scheduler, failed) == ["failed"] * 3 + ["discarded"] * 3
    assert scheduler.run(failed[3]).reason == "the file is gone"


def test_unfinished_runs_are_cancelled(scheduler: Scheduler) -> None:
    """Those that have not started, at once."""
    ready = scheduler.enqueue("work")
    later = scheduler.enqueue("work", delay=60)
    other = scheduler.enqueue("fail")
    result = scheduler.cancel_runs(task="work", actor="ana")
    assert (result.matched, result.changed) == (2, 2)
    assert states(scheduler, [ready, later, other]) == ["cancelled", "cancelled", "ready"]
    assert {event.actor for event in scheduler.events(kind="run.cancelled")} == {"ana"}


def test_a_running_function_is_asked_to_stop_once(scheduler: Scheduler) -> None:
    """A second call finds that it has been asked already."""
    entered, leave = Event(), Event()

    @scheduler.task()
    def lasts() -> None:
        entered.set()
        leave.wait(30)

    scheduler.enqueue("lasts")
    scheduler.tick(wait=False)
    assert entered.wait(30)
    first, second = (scheduler.cancel_runs(task="lasts") for _ in range(2))
    leave.set()
    assert (first.matched, first.changed, first.refused) == (1, 1, {})
    assert (second.matched, second.changed, second.refused) == (1, 0, {"already asked to stop": 1})


@pytest.mark.parametrize("call", ["retry_runs", "cancel_runs", "discard_runs"])
def test_all_runs_are_changed_only_if_asked_for(
    scheduler: Scheduler, failed: list[str], call: str
) -> None:
    """An empty filter, or one of empty values, is refused; ``everything=True`` says it."""
    change = getattr(scheduler, call)
    options = {"reason": "x"} if call == "discard_runs" else {}
    before = snapshot(scheduler)
    none_given: list[dict[str, Any]] = [{}, {"task": None, "text": ""}]
    for empty in none_given:
        with pytest.raises(ConfigurationError, match="everything=True"):
            change(**options, **empty)
    with pytest.raises(ConfigurationError, match="either"):
        change(**options, task="fail", everything=True)
    assert change(**options, state=[]).matched == 0
    assert snapshot(scheduler) == before
    assert change(**options, everything=True, dry_run=True).matched == (
        0 if call == "cancel_runs" else 6
    )


@pytest.mark.parametrize(
    ("filters", "error"),
    [
        ({"tsak": "fail"}, UnknownOption),
        ({"state": "succeeded"}, ConfigurationError),
        ({"state": "sleeping"}, ConfigurationError),
        ({"worker": "w"}, ConfigurationError),
        ({"finished_since": START.replace(tzinfo=None)}, NaiveDatetimeError),
    ],
)
def test_a_filter_that_is_not_valid_changes_nothing(
    scheduler: Scheduler, failed: list[str], filters: Any, error: type[Exception]
) -> None:
    """The error names it."""
    before = snapshot(scheduler)
    with pytest.raises(error):
        scheduler.retry_runs(**filters)
    assert snapshot(scheduler) == before


def test_runs_that_appear_meanwhile_are_not_touched(
    scheduler: Scheduler, failed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction takes two rows; between them a run fails, and one is retried by another."""
    small(monkeypatch, 2)
    late: list[str] = []
    write = scheduler.store.run

    def and_meanwhile(work: Any, *rest: Any, **more: Any) -> Any:
        result = write(work, *rest, **more)
        monkeypatch.setattr(scheduler.store, "run", write)
        scheduler.retry(failed[5])
        scheduler.pause_queue("default")
        late.append(scheduler.enqueue("other", queue="mail"))
        scheduler.run_due()
        return result

    scheduler.configure_worker(queues={"default": 1, "mail": 1})
    monkeypatch.setattr(scheduler.store, "run", and_meanwhile)
    result = scheduler.discard_runs(everything=True, reason="x")
    assert (result.matched, result.changed, result.refused) == (6, 5, {"changed meanwhile": 1})
    assert states(scheduler, [*failed, *late]) == ["discarded"] * 5 + ["ready", "failed"]


def small(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Let each transaction of a bulk change take this many rows."""
    monkeypatch.setattr(batches, "ROWS_AT_ONCE", rows)


def test_each_transaction_takes_a_bounded_number_of_rows(
    scheduler: Scheduler, failed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been committed stays when a later transaction fails."""
    small(monkeypatch, 2)
    seen: list[int] = []
    write = scheduler.store.run

    def counted(work: Any, *rest: Any, **more: Any) -> Any:
        def counting(tx: Transaction) -> Any:
            result = work(tx)
            seen.append(sum(event.kind == "run.discarded" for event in tx.events))
            if len(seen) == 3:
                raise RuntimeError("later")
            return result

        return write(counting, *rest, **more)

    monkeypatch.setattr(scheduler.store, "run", counted)
    with pytest.raises(RuntimeError):
        scheduler.discard_runs(everything=True, reason="x")
    assert seen == [2, 2, 2]
    assert states(scheduler, failed) == ["discarded"] * 4 + ["failed"] * 2


def test_the_overlap_policy_of_a_job_applies_to_each_run(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """One of three dead letters may run at once, unless the policy allows all; the others count."""
    overlaps: list[Overlap] = ["queue", "skip", "allow"]
    for overlap in overlaps:
        scheduler.add("fail", every(seconds=10), id=overlap, overlap=overlap)
    for _ in range(3):
        clock.advance(10)
        scheduler.run_due()
    for name in ("queue", "skip", "allow"):
        scheduler.pause(name)
    assert scheduler.dead_letters()[0].total == 9
    policy = "not allowed by its job's overlap policy"
    expected = {"queue": (1, {policy: 2}), "skip": (1, {policy: 2}), "allow": (3, {})}
    for name, (changed, refused) in expected.items():
        result = scheduler.retry_runs(job=name)
        assert (name, result.matched, result.changed, result.refused) == (name, 3, changed, refused)


def test_a_unique_key_is_taken_by_one_run(scheduler: Scheduler) -> None:
    """Two dead letters had the key, one after the other; one of them starts over."""
    for _ in range(2):
        scheduler.enqueue("fail", unique_key="k", unique="until_done")
        scheduler.run_due()
    result = scheduler.retry_runs(task="fail")
    assert (result.matched, result.changed) == (2, 1)
    assert result.refused == {"its unique key is held by another run": 1}
    (holder,) = scheduler.runs(unique_key="k")
    assert holder.state == "ready"


def test_a_run_of_a_removed_job_starts_over_without_it(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """A job that was added again under the same id has nothing to do with it."""
    scheduler.add("fail", every(seconds=10), id="j", overlap="skip")
    clock.advance(10)
    scheduler.run_due()
    scheduler.remove("j")
    scheduler.add("fail", every(seconds=10), id="j", overlap="skip")
    scheduler.run_now("j")
    assert scheduler.retry_runs(job="j").changed == 1


async def test_the_awaitable_form_is_the_same(scheduler: Scheduler, failed: list[str]) -> None:
    """With the same filters."""
    assert (await scheduler.aio.retry_runs(task="fail", dry_run=True)).matched == 3


# ------------------------------------------------------------------------------------ jobs


@pytest.fixture
def jobs(scheduler: Scheduler) -> Scheduler:
    """Jobs ``a``, ``b`` of the task work, tagged; ``c`` of the task fail."""
    for name in "ab":
        scheduler.add("work", every(minutes=1), id=name, tags=["t"])
    scheduler.add("fail", every(minutes=1), id="c")
    return scheduler


def test_jobs_are_paused_and_resumed_by_a_filter(jobs: Scheduler) -> None:
    """A dry run counts those that would change."""
    assert jobs.pause(task="work", dry_run=True) == 2
    assert jobs.jobs(state="paused") == []
    jobs.pause("a", reason="before")
    assert jobs.pause(task="work", dry_run=True) == 1
    assert jobs.pause(task="work", reason="a leak", actor="ana") == 1
    assert [(job.id, job.paused_reason) for job in jobs.jobs(state="paused")] == [
        ("a", "before"), ("b", "a leak"),
    ]  # fmt: skip
    (bulk,) = jobs.events(kind="jobs.paused")
    assert (bulk.actor, bulk.detail) == ("ana", {"filter": {"task": "work"}, "changed": 1})
    assert jobs.resume(everything=True, dry_run=True) == 2
    assert jobs.resume(everything=True) == 2
    assert jobs.jobs(state="paused") == []


def test_jobs_that_code_has_paused_are_counted_as_the_call_counts(make: Make) -> None:
    """A user pauses them once more; so a dry run counts them."""
    scheduler = with_tasks(make())
    scheduler.add("work", every(minutes=1), id="j", paused=True, actor="code")
    counted = scheduler.pause("j", dry_run=True, actor="ana")
    assert counted == scheduler.pause("j", actor="ana") == 1


def test_failing_jobs_are_removed(jobs: Scheduler, clock: VirtualClock) -> None:
    """By the same filter that lists them."""
    clock.advance(60)
    jobs.run_due()
    assert [job.id for job in jobs.jobs(failing=True)] == ["c"]
    assert jobs.remove(failing=True, dry_run=True) == 1
    assert jobs.remove(failing=True) == 1
    assert [job.id for job in jobs.jobs()] == ["a", "b"]
    assert [event.detail["changed"] for event in jobs.events(kind="jobs.removed")] == [1]


@pytest.mark.parametrize("call", ["pause", "resume", "remove"])
def test_all_jobs_are_changed_only_if_asked_for(jobs: Scheduler, call: str) -> None:
    """Nor can an id be given with a filter."""
    change = getattr(jobs, call)
    before = snapshot(jobs)
    empty: list[dict[str, Any]] = [{}, {"failing": False}, {"tag": None}]
    for wrong in [*empty, {"job_id": "a", "tag": "t"}, {"everything": True, "tag": "t"}]:
        with pytest.raises(ConfigurationError):
            change(**wrong)
    with pytest.raises(UnknownOption):
        change(tga="t")
    assert snapshot(jobs) == before


# --------------------------------------------------------------------------- filters, order


def test_runs_are_found_by_error_worker_and_end(
    scheduler: Scheduler, clock: VirtualClock, failed: list[str]
) -> None:
    """Each filter alone, and together with others."""
    clock.advance(100)
    late = scheduler.enqueue("work")
    scheduler.run_due()
    worker = scheduler.run(late).worker_id
    assert worker is not None

    def ids(**filters: Any) -> list[str]:
        return [run.id for run in scheduler.runs(order="oldest", **filters)]

    assert ids(error_type="KeyError") == failed[3:]
    assert ids(worker=worker) == [late]  # the lease of the first has ended meanwhile
    assert ids(worker="0" * 8 + "-0000-4000-8000-" + "0" * 12) == []
    assert ids(finished_since=after(50)) == [late]
    assert ids(finished_until=after(50)) == failed
    assert ids(finished_since=after(50), error_type="KeyError") == []


def test_pages_of_runs_are_stable_in_both_orders(scheduler: Scheduler, failed: list[str]) -> None:
    """A run that is created between two pages is not repeated, and shifts no other."""
    first = scheduler.runs(order="oldest", limit=2)
    scheduler.enqueue("work")
    second = scheduler.runs(order="oldest", limit=4, after=first[-1].id)
    assert [run.id for run in [*first, *second]] == failed
    newest = scheduler.runs(limit=2)
    assert [run.id for run in scheduler.runs(limit=5, after=newest[-1].id)] == failed[4::-1]


def test_pages_of_jobs_by_next_fire_are_stable(scheduler: Scheduler) -> None:
    """Equal times are ordered by id, and a page begins after a time and an id."""
    for name, minutes in (("d", 1), ("a", 2), ("c", 1), ("b", 2), ("e", 3)):
        scheduler.add("work", every(minutes=minutes), id=name)
    found: list[str] = []
    position = None
    while True:
        page = scheduler.jobs(order="next_fire_at", after=position, limit=2)
        found += [job.id for job in page]
        if not page.more:
            break
        assert page[-1].next_fire_at is not None
        position = (page[-1].next_fire_at, page[-1].id)
    assert found == ["c", "d", "a", "b", "e"]


@pytest.mark.parametrize(
    "wrong", [{"after": "a", "order": "next_fire_at"}, {"after": (START, "a")}, {"order": "name"}]
)
def test_an_order_without_an_index_is_refused(scheduler: Scheduler, wrong: Any) -> None:
    """And so is a position of another order."""
    with pytest.raises(ConfigurationError):
        scheduler.jobs(**wrong)
    with pytest.raises(ConfigurationError):
        scheduler.runs(order="duration")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------- dead letters


def test_dead_letters_are_grouped_with_counts_over_time(
    scheduler: Scheduler, clock: VirtualClock, failed: list[str]
) -> None:
    """By task and type of error: the last hour, day and week, and all of them."""
    for hours in (24 * 8, 24 * 2, 5):
        clock.advance(hours * 3600)
        scheduler.enqueue("fail")
        scheduler.run_due()
    newest = scheduler.runs(task="fail", limit=1)[0]
    clock.advance(60)
    fail, other = scheduler.dead_letters()
    assert (fail.task, fail.error_type, other.task, other.error_type) == (
        "fail", "RuntimeError", "other", "KeyError",
    )  # fmt: skip
    assert (fail.last_hour, fail.last_day, fail.last_week, fail.total) == (1, 2, 3, 6)
    assert (other.last_hour, other.last_day, other.last_week, other.total) == (0, 0, 0, 3)
    assert fail.last_at - fail.first_at == timedelta(hours=24 * 10 + 5)
    assert fail.example == newest
    assert fail.to_dict()["example"]["error_message"] == "it failed"


def test_a_group_is_retried_by_its_task_and_error(scheduler: Scheduler, failed: list[str]) -> None:
    """What the group counted is what the call changes."""
    group = scheduler.dead_letters(task="other")[0]
    result = scheduler.retry_runs(task=group.task, error_type=group.error_type)
    assert result.changed == group.total == 3
    assert [left.task for left in scheduler.dead_letters()] == ["fail"]


def test_dead_letters_are_filtered_and_paged(scheduler: Scheduler, failed: list[str]) -> None:
    """With the filters of runs; another state is a mistake."""
    page = scheduler.dead_letters(limit=1)
    assert (len(page), page.more) == (1, True)
    assert scheduler.dead_letters(error_type="ValueError") == []
    with pytest.raises(ConfigurationError):
        scheduler.dead_letters(state="missed")
