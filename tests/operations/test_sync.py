"""`sync`: the jobs of a tag become exactly those that are wanted."""

from __future__ import annotations

from typing import Any

import pytest

from duly import Scheduler, after, every
from duly.errors import ConfigurationError, JobInUse


@pytest.fixture
def scheduler(prepared_database_url: str) -> Any:
    scheduler = Scheduler(prepared_database_url)

    @scheduler.task()
    def remind(user: int) -> None: ...

    yield scheduler
    scheduler.stop()


def reminder(user: int, hours: int = 1, **options: Any) -> dict[str, Any]:
    return {
        "task": "remind", "trigger": every(hours=hours), "id": f"remind-{user}",
        "args": {"user": user}, **options,
    }  # fmt: skip


def test_what_differs_is_added_changed_and_removed(scheduler: Scheduler) -> None:
    """Unchanged jobs keep their next fire, and jobs without the tag are not touched."""
    scheduler.add("remind", every(hours=1), id="other", args={"user": 0})
    first = scheduler.sync([reminder(1), reminder(2), reminder(3)], tag="users")
    assert (first.added, first.changed, first.removed, first.unchanged) == (
        ["remind-1", "remind-2", "remind-3"], [], [], [],
    )  # fmt: skip
    before = scheduler.job("remind-1")
    scheduler.pause("remind-2")
    second = scheduler.sync([reminder(1), reminder(2, hours=2), reminder(4)], tag="users")
    assert (second.added, second.changed, second.removed, second.unchanged) == (
        ["remind-4"], ["remind-2"], ["remind-3"], ["remind-1"],
    )  # fmt: skip
    after_it = scheduler.job("remind-1")
    assert (after_it.next_fire_at, after_it.revision) == (before.next_fire_at, before.revision)
    assert scheduler.job("remind-2").state == "paused"
    assert {job.id for job in scheduler.jobs(tag="users")} == {"remind-1", "remind-2", "remind-4"}
    assert scheduler.sync([], tag="users").removed == ["remind-1", "remind-2", "remind-4"]
    assert scheduler.job_ids() == ["other"]


def test_parents_are_replaced_together_with_their_children(scheduler: Scheduler) -> None:
    """A job moves from one parent to another in the call that removes the former parent."""
    follower = {**reminder(9), "trigger": after(["remind-1"]), "tags": ["nine"]}
    scheduler.sync([reminder(1, tags=["one"]), follower], tag=["one", "nine"])
    with pytest.raises(JobInUse):
        scheduler.sync([], tag="one")
    moved = {**follower, "trigger": after(["remind-2"])}
    done = scheduler.sync([reminder(2, tags=["one"]), moved], tag=["one", "nine"])
    assert (done.added, done.changed, done.removed) == (["remind-2"], ["remind-9"], ["remind-1"])
    assert scheduler.job("remind-9").after == ("remind-2",)


def test_nothing_changes_if_one_job_is_wrong(scheduler: Scheduler) -> None:
    """The error names the job, and the set stays as it was."""
    scheduler.sync([reminder(1)], tag="users")
    wrong: list[tuple[Any, str]] = [
        ({**reminder(3), "id": None}, r"jobs\[1\] has no id"),
        (reminder(2), "has the same id"),
        (
            {"task": "remind", "trigger": every(hours=1), "id": "x", "args": {}},
            r"jobs\[1\] \('x'\)",
        ),
        (5, "give each job as the arguments"),
    ]
    for item, message in wrong:
        with pytest.raises(Exception, match=message):
            scheduler.sync([reminder(2), item], tag="users")
    with pytest.raises(ConfigurationError, match="none of the tags a, b"):
        scheduler.sync([reminder(2, tags=["c"])], tag=["a", "b"])
    assert scheduler.job_ids() == ["remind-1"]
