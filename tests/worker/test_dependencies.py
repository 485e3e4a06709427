"""Jobs that run after other jobs: each run of a parent is decided exactly once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from duly import Scheduler, after, every
from duly.model.run import RunState
from duly.store import runs, tables
from duly.worker.resolving import resolve
from tests.store.conftest import at_once
from tests.worker.conftest import World, states


class Parents:
    """Jobs a and b run every 10 seconds; those in ``failing`` raise."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.failing: set[str] = set()
        for name in ("a", "b"):
            self._declare(scheduler, name)

    def _declare(self, scheduler: Scheduler, name: str) -> None:
        @scheduler.task(name)
        def work() -> None:
            if name in self.failing:
                raise RuntimeError(name)

        scheduler.job(every(seconds=10), id=name, overlap="allow")(work)


def family(scheduler: Scheduler, *after: str, **options: Any) -> Parents:
    """Add the parents and a job c that runs after them."""
    parents = Parents(scheduler)

    @scheduler.job(after=after or ["a"], **options)
    def c() -> None: ...

    return parents


def ran(scheduler: Scheduler, job: str = "c") -> list[tuple[str, str | None]]:
    """Return the state and the parent job of each run, oldest first."""
    found: list[tuple[str, str | None]] = []
    for run in reversed(scheduler.runs(job=job)):
        parent = scheduler.run(run.parent_run_id).job_id if run.parent_run_id else None
        found.append((run.state, parent))
    return found


# ------------------------------------------------------------------------- when a child runs


def test_with_each_a_child_runs_for_every_parent(world: World) -> None:
    """It waits for no other parent, and a parent that fails skips only its own run of the child."""
    scheduler = world.scheduler()
    parents = Parents(scheduler)
    parents.failing.add("b")

    @scheduler.job(after(["a", "b"], each=True), overlap="allow")
    def c() -> None: ...

    scheduler.tick()
    world.forward(scheduler, 10)
    world.forward(scheduler, 10)
    assert sorted(ran(scheduler)) == [
        ("skipped", "b"), ("skipped", "b"), ("succeeded", "a"), ("succeeded", "a")
    ]  # fmt: skip
    parents.failing.clear()
    (skipped, *_rest) = scheduler.runs(job="c", state="skipped")
    scheduler.retry(skipped.parent_run_id or "")
    scheduler.tick()
    assert scheduler.run(skipped.id).state == "succeeded"
    trigger = scheduler.job("c").trigger
    assert trigger == after(["b", "a"], each=True)
    assert trigger.describe() == "after a or b succeeded"


def test_rule_20_a_child_runs_once_for_each_run_of_its_parent(world: World) -> None:
    """Three runs of a make three runs of c, each with the id of its parent run."""
    scheduler = world.scheduler()
    family(scheduler)
    scheduler.tick()
    for _ in range(3):
        world.forward(scheduler, 10)
    children = scheduler.runs(job="c")
    assert [(run.state, run.cause) for run in children] == [("succeeded", "dependency")] * 3
    assert [run.parent_run_id for run in children] == [run.id for run in scheduler.runs(job="a")]
    assert {run.scheduled_for for run in children} == {None}
    held = scheduler.job("c")
    assert (held.after, held.state, held.next_fire_at) == (("a",), "active", None)
    assert str(held.trigger) == "after a succeeded"
    newest = scheduler.runs(job="a")[0]
    assert scheduler.runs(parent=newest.id) == children[:1]


def test_rule_20_of_several_parents_each_must_have_run(world: World) -> None:
    """c runs once both a and b have ended since its last run; two runs of a count once."""
    scheduler = world.scheduler()
    Parents(scheduler)
    scheduler.job(after=["a", "b"], id="c")(scheduler.task("join")(lambda: None))
    scheduler.prepare()
    scheduler.pause("b")
    scheduler.tick()
    world.forward(scheduler, 10)
    world.forward(scheduler, 10)
    assert ran(scheduler) == []
    scheduler.resume("b")
    scheduler.tick()
    assert ran(scheduler) == [("succeeded", "b")]
    world.forward(scheduler, 10)
    assert len(ran(scheduler)) == 2


def test_on_failure_and_always(world: World) -> None:
    """``"failure"`` runs after failures only, ``"always"`` after each end; ``"success"`` skips."""
    scheduler = world.scheduler()
    parents = family(scheduler)
    scheduler.job(after=["a"], on="failure", id="alarm")(scheduler.task("x")(lambda: None))
    scheduler.job(after=["a"], on="always", id="note")(scheduler.task("y")(lambda: None))
    scheduler.tick()
    world.forward(scheduler, 10)
    parents.failing = {"a"}
    world.forward(scheduler, 10)
    assert states(scheduler.runs(job="c")) == ["succeeded", "skipped"]
    assert states(scheduler.runs(job="alarm")) == ["skipped", "succeeded"]
    assert states(scheduler.runs(job="note")) == ["succeeded", "succeeded"]


def test_rule_20_a_failed_parent_leaves_a_skipped_run_that_names_it(world: World) -> None:
    """The skipped run names the parent that failed and its run, whichever parent ended last."""
    scheduler = world.scheduler()
    parents = family(scheduler, "a", "b")
    parents.failing = {"a"}
    scheduler.tick()
    world.forward(scheduler, 10)
    (skipped,) = scheduler.runs(job="c")
    failed = scheduler.runs(job="a")[0]
    assert (skipped.state, skipped.parent_run_id) == ("skipped", failed.id)
    assert skipped.reason == f"'a' did not succeed: run {failed.id}"
    (event,) = scheduler.events(kind="run.skipped", job="c")
    assert event.run_id == skipped.id
    parents.failing = set()
    world.forward(scheduler, 10)
    assert states(scheduler.runs(job="c")) == ["skipped", "succeeded"]


@pytest.mark.parametrize("end", ["skipped", "missed", "cancelled"])
def test_rule_20_parents_that_never_ran_resolve_too(world: World, end: RunState) -> None:
    """A parent's run that is skipped, missed or cancelled counts as not successful."""
    scheduler = world.scheduler(queues={"other": 1})
    scheduler.task("work")(lambda: None)
    options: dict[str, Any] = {"misfire_grace": 1} if end == "missed" else {}
    scheduler.add("work", every(seconds=10), id="a", **options)
    scheduler.add("work", after=["a"], id="c", queue="other")
    scheduler.tick()
    if end == "missed":
        world.forward(scheduler, 15)
    else:
        world.forward(scheduler, 10)
    if end == "skipped":
        world.forward(scheduler, 10)
    if end == "cancelled":
        scheduler.cancel(scheduler.runs(job="a")[0].id)
        scheduler.tick()
    (parent,) = scheduler.runs(job="a", state=end)
    assert [(run.state, run.parent_run_id) for run in scheduler.runs(job="c")] == [
        ("skipped", parent.id)
    ]


def test_a_chain_continues_step_by_step(world: World) -> None:
    """A job after c follows each run of c; a skipped run of c skips that job's run, too."""
    scheduler = world.scheduler()
    parents = family(scheduler)
    scheduler.job(after=["c"], id="d")(scheduler.task("x")(lambda: None))
    scheduler.tick()
    world.forward(scheduler, 10)
    parents.failing = {"a"}
    world.forward(scheduler, 10)
    assert ran(scheduler, "d") == [("succeeded", "c"), ("skipped", "c")]


def test_runs_by_hand_and_their_retries_have_children_too(world: World) -> None:
    """c follows a run by ``run_now`` as it follows a scheduled one, but not a plain call."""
    scheduler = world.scheduler()
    family(scheduler)
    scheduler.tick()
    scheduler.run_now("a")
    scheduler.enqueue("a")
    scheduler.tick()
    assert ran(scheduler) == [("succeeded", "a")]


# ------------------------------------------------------------------------------- retry by hand


def test_a_parent_retried_by_hand_lets_its_child_run_after_all(world: World) -> None:
    """The skipped run of c becomes ready when the retried run of a succeeds."""
    scheduler = world.scheduler()
    parents = family(scheduler)
    parents.failing = {"a"}
    scheduler.tick()
    world.forward(scheduler, 10)
    (failed,) = scheduler.runs(job="a")
    scheduler.retry(failed.id)
    scheduler.tick()
    assert ran(scheduler) == [("skipped", "a")]
    parents.failing = set()
    scheduler.retry(failed.id)
    scheduler.tick()
    assert ran(scheduler) == [("succeeded", "a")]


def test_of_two_failed_parents_both_must_be_retried(world: World) -> None:
    """After a's retry the skipped run names b; after b's retry the child runs once."""
    scheduler = world.scheduler()
    parents = family(scheduler, "a", "b")
    parents.failing = {"a", "b"}
    scheduler.tick()
    world.forward(scheduler, 10)
    assert ran(scheduler) == [("skipped", "a")]
    parents.failing = set()
    scheduler.retry(scheduler.runs(job="a")[0].id)
    scheduler.tick()
    assert ran(scheduler) == [("skipped", "b")]
    scheduler.retry(scheduler.runs(job="b")[0].id)
    scheduler.tick()
    assert ran(scheduler) == [("succeeded", "b")]
    world.forward(scheduler, 10)
    assert len(ran(scheduler)) == 2


def test_a_retry_does_not_run_a_child_twice(world: World) -> None:
    """With ``on="always"`` c has run after the failure; the retry of that run adds none."""
    scheduler = world.scheduler()
    parents = family(scheduler, on="always")
    parents.failing = {"a"}
    scheduler.tick()
    world.forward(scheduler, 10)
    parents.failing = set()
    scheduler.retry(scheduler.runs(job="a")[0].id)
    scheduler.tick()
    assert ran(scheduler) == [("succeeded", "a")]


# ------------------------------------------------------------------------- overlap and pausing


def test_rule_12_a_child_obeys_its_overlap_policy(world: World) -> None:
    """While a run of c is unfinished the next is skipped; with ``overlap="queue"`` one waits."""
    scheduler = world.scheduler()
    family(scheduler, queue="nobody works here")
    scheduler.job(after=["a"], id="q", overlap="queue", queue="nor here")(
        scheduler.task("x")(lambda: None)
    )
    scheduler.tick()
    for _ in range(3):
        world.forward(scheduler, 10)
    assert states(scheduler.runs(job="c")) == ["ready", "skipped", "skipped"]
    assert states(scheduler.runs(job="q")) == ["ready", "scheduled", "skipped"]
    reason = scheduler.runs(job="c")[0].reason
    assert reason == "overlap=skip: an earlier run is unfinished"


def test_cancel_running_replaces_the_waiting_child(world: World) -> None:
    """With ``overlap="cancel_running"`` only the newest of three runs is left."""
    scheduler = world.scheduler()
    family(scheduler, queue="nobody works here", overlap="cancel_running")
    scheduler.tick()
    for _ in range(3):
        world.forward(scheduler, 10)
    assert states(scheduler.runs(job="c")) == ["cancelled", "cancelled", "ready"]


@pytest.mark.parametrize(
    ("catch_up", "after_resume"),
    [
        ("latest", ["skipped", "skipped", "succeeded"]),
        ("all", ["succeeded", "succeeded", "succeeded"]),
        ("none", ["skipped", "skipped", "skipped"]),
    ],
)
def test_rule_17_a_paused_child_catches_up_when_it_is_resumed(
    world: World, catch_up: str, after_resume: list[str]
) -> None:
    """While c is paused each run of a leaves a skipped one; a resume applies ``catch_up``."""
    scheduler = world.scheduler()
    family(scheduler, catch_up=catch_up)
    scheduler.tick()
    scheduler.pause("c")
    for _ in range(3):
        world.forward(scheduler, 10)
    assert [run.reason for run in scheduler.runs(job="c")] == ["the job was paused"] * 3
    scheduler.resume("c")
    scheduler.tick()
    assert states(scheduler.runs(job="c")) == after_resume
    scheduler.pause("c")
    scheduler.resume("c")
    scheduler.tick()
    assert states(scheduler.runs(job="c")) == after_resume


def test_rule_17_nothing_is_decided_while_the_scheduler_is_stopped(world: World) -> None:
    """A parent's run that ends after ``stop_all`` is resolved after ``start_all``."""
    scheduler = world.scheduler()
    family(scheduler)
    scheduler.tick()
    run = scheduler.run_now("a")
    scheduler.stop_all()
    end(scheduler, run.id)
    scheduler.tick()
    assert not resolve(scheduler.store)
    assert ran(scheduler) == []
    scheduler.start_all()
    scheduler.tick()
    assert ran(scheduler) == [("succeeded", "a")]


# --------------------------------------------------------------------------- several workers


def end(scheduler: Scheduler, *run_ids: str) -> None:
    """End runs as a worker's completion does, without resolving their children."""
    with scheduler.store.write() as tx:
        runs.lock(tx, run_ids)
        runs.change(tx, run_ids, state="succeeded", finished_at=tx.now)


def still_feeding(scheduler: Scheduler) -> int:
    with scheduler.store.read() as conn:
        return len(conn.execute(select(tables.run.c.id).where(tables.run.c.feeds)).all())


def test_rule_20_two_parents_that_end_at_once_make_one_child(world: World) -> None:
    """Two workers that complete and resolve at the same moment make exactly one run of c."""
    first, second = world.scheduler(), world.scheduler()
    family(first, "a", "b", overlap="allow", queue="nobody works here")
    first.prepare()
    second.prepare()

    def complete(scheduler: Scheduler, run_id: str) -> None:
        end(scheduler, run_id)
        resolve(scheduler.store)

    for number in range(1, 16):
        world.clock.advance(1)
        pair = first.run_now("a").id, first.run_now("b").id
        at_once(lambda: complete(first, pair[0]), lambda: complete(second, pair[1]))  # noqa: B023
        while resolve(first.store):
            pass
        children = first.runs(job="c")
        assert len(children) == number
        assert children[0].parent_run_id in pair
    assert still_feeding(first) == 0


def test_rule_20_concurrent_resolvers_neither_lose_nor_duplicate_runs(world: World) -> None:
    """Three concurrent resolvers turn forty ended runs into forty runs of c."""
    schedulers = [world.scheduler() for _ in range(3)]
    family(schedulers[0], overlap="allow", queue="nobody works here")
    for scheduler in schedulers:
        scheduler.prepare()
    for _ in range(4):
        ids = [schedulers[0].run_now("a").id for _ in range(10)]
        end(schedulers[0], *ids)
        at_once(*[lambda held=held: resolve(held.store) for held in schedulers])
        while resolve(schedulers[1].store):
            pass
    children = schedulers[0].runs(job="c", limit=100)
    assert len(children) == len({run.parent_run_id for run in children}) == 40
    assert still_feeding(schedulers[0]) == 0


def test_rule_20_an_unresolved_end_outlives_its_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a worker dies right after a completion, the next worker resolves the child."""
    first, second = world.scheduler(), world.scheduler()
    family(first)
    family(second)
    first.tick()
    second.tick()
    run = first.run_now("a")
    with monkeypatch.context() as patch:

        def die(_store: object) -> bool:
            raise RuntimeError("killed")

        patch.setattr("duly.worker.worker.resolve", die)
        with pytest.raises(RuntimeError, match="killed"):
            first.tick()
    assert first.run(run.id).state == "succeeded"
    assert ran(first) == []
    second.tick()
    assert ran(second) == [("succeeded", "a")]


def test_a_locked_child_does_not_block_a_worker(world: World) -> None:
    """While the host has locked c the step does not wait, and c runs afterwards."""
    scheduler = world.scheduler()
    if not scheduler.store.dialect.many_writers:
        pytest.skip("SQLite has one writer at a time")
    family(scheduler)
    scheduler.tick()
    with scheduler.store.engine.begin() as conn:
        conn.execute(select(tables.job.c.id).where(tables.job.c.id == "c").with_for_update())
        scheduler.run_now("a")
        scheduler.tick()
        assert ran(scheduler) == []
        assert scheduler.runs(job="a")[0].state == "succeeded"
    scheduler.tick()
    assert ran(scheduler) == [("succeeded", "a")]
