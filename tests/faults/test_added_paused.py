"""``paused=``: a job that is stored paused, and what users decide afterwards stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from duly import JobGroup, Scheduler, VirtualClock, every
from duly.errors import ConfigurationError

HOURLY = every(hours=1)


class Deployments:
    """Deploys of one application, each of which declares one job."""

    def __init__(self, url: str) -> None:
        self.url, self.clock = url, VirtualClock()
        self._made: list[Scheduler] = []

    def deploy(self, *, paused: bool | str = False, priority: int = 0) -> Scheduler:
        scheduler = Scheduler(self.url, clock=self.clock, orphans="pause")
        group = JobGroup()

        @group.job(HOURLY, id="bill", paused=paused, priority=priority)
        def bill() -> None: ...

        scheduler.include(group)
        scheduler.prepare()
        self._made.append(scheduler)
        return scheduler

    def close(self) -> None:
        for scheduler in self._made:
            scheduler.stop(grace=0)
            scheduler.store.dispose()


@pytest.fixture
def deployments(prepared_database_url: str) -> Iterator[Deployments]:
    made = Deployments(prepared_database_url)
    yield made
    made.close()


def state(scheduler: Scheduler) -> tuple[str, str | None, str | None]:
    job = scheduler.job("bill")
    return job.state, job.paused_by, job.paused_reason


def test_an_added_job_can_be_paused_from_the_beginning(deployments: Deployments) -> None:
    """It never fires before it is resumed, and what add returns is what is stored."""
    scheduler = deployments.deploy()
    made = scheduler.add("bill", HOURLY, id="new", paused="not signed", actor="ana")
    assert made == scheduler.job("new")
    assert (made.state, made.paused_by, made.paused_reason) == ("paused", "ana", "not signed")
    assert made.paused_at == deployments.clock.now()
    assert [event.kind for event in scheduler.events(job="new")] == ["job.added", "job.paused"]
    deployments.clock.advance(hours=2)
    scheduler.tick()
    assert scheduler.runs(job="new") == []
    scheduler.resume("new")
    scheduler.tick()
    assert [run.state for run in scheduler.runs(job="new", state="succeeded")] == ["succeeded"]


def test_adding_again_leaves_the_state_alone(deployments: Deployments) -> None:
    """``replace=True`` is idempotent: what was resumed stays resumed."""
    scheduler = deployments.deploy()
    items = [
        {"task": "bill", "trigger": HOURLY, "id": "a", "paused": True},
        {"task": "bill", "trigger": HOURLY, "id": "b"},
    ]
    scheduler.add_many(items)
    assert [scheduler.job(name).state for name in "ab"] == ["paused", "active"]
    scheduler.resume("a")
    scheduler.add_many(items, replace=True)
    scheduler.add("bill", HOURLY, id="b", paused=True, replace=True)
    assert [scheduler.job(name).state for name in "ab"] == ["active", "active"]


def test_a_declared_job_is_paused_until_the_declaration_changes(deployments: Deployments) -> None:
    """A deploy without ``paused`` resumes it."""
    assert state(deployments.deploy(paused="not signed")) == ("paused", "code", "not signed")
    assert state(deployments.deploy(paused="not signed")) == ("paused", "code", "not signed")
    assert state(deployments.deploy()) == ("active", None, None)
    assert state(deployments.deploy(paused=True)) == ("paused", "code", None)


def test_a_user_who_resumes_it_wins(deployments: Deployments) -> None:
    """Neither a restart nor another change of the declaration pauses it again."""
    deployments.deploy(paused=True).resume("bill")
    assert state(deployments.deploy(paused=True)) == ("active", None, None)
    assert state(deployments.deploy(paused=True, priority=3)) == ("active", None, None)


def test_a_user_who_pauses_it_wins(deployments: Deployments) -> None:
    """A pause by a user stays, even one on top of the declaration's."""
    first = deployments.deploy(paused=True)
    assert first.pause("bill", reason="audit", actor="ana") == 1
    assert state(deployments.deploy()) == ("paused", "ana", "audit")
    assert first.pause("bill", reason="again", actor="bo") == 0


def test_a_job_that_is_declared_again_keeps_the_pause_of_its_declaration(
    deployments: Deployments,
) -> None:
    """An orphan that was paused anyway stays so."""
    first = deployments.deploy(paused="not signed")
    other = Scheduler(deployments.url, clock=deployments.clock, orphans="pause")
    other.tick()
    deployments.clock.advance(60)
    other.tick()
    assert other.orphans()
    other.stop()
    assert state(deployments.deploy(paused="not signed")) == ("paused", "code", "not signed")
    assert first.resume("bill") == 1


@pytest.mark.parametrize("wrong", ["", "  ", 1, None])
def test_paused_is_true_or_a_reason(wrong: object) -> None:
    """Anything else is refused at the call."""
    scheduler = Scheduler()
    with pytest.raises(ConfigurationError, match=r"paused is .*; give True, or the reason"):
        scheduler.job(HOURLY, id="j", paused=wrong)(print_nothing)  # type: ignore[call-overload]


def print_nothing() -> None:
    """Do nothing."""
