"""A scheduler that is told its database after its jobs were declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from duly import Run, Scheduler, VirtualClock, every
from duly.errors import DatabaseURLError, LifecycleError
from tests.operations.conftest import START, Make

UNSET: list[Callable[[Scheduler], Any]] = [
    lambda s: s.start(),
    lambda s: s.tick(),
    lambda s: s.prepare(),
    lambda s: s.jobs(),
    lambda s: s.run_due(),
    lambda s: s.enqueue("work"),
    lambda s: s.add("work", every(seconds=1)),
    lambda s: s.pause("j"),
    lambda s: s.status(),
]


def late(clock: VirtualClock) -> Scheduler:
    made = Scheduler(clock=clock)

    @made.job(every(seconds=10), id="j")
    def work(n: int = 0) -> int:
        return n

    return made


def test_what_was_declared_before_is_stored_there(
    prepared_database_url: str, clock: VirtualClock
) -> None:
    """Jobs, listeners and what is around runs: nothing that was said is lost."""
    scheduler = late(clock)
    heard: list[str] = []
    scheduler.on("run.succeeded", lambda event: heard.append(event.kind))
    entered: list[str] = []

    class Around:
        def __init__(self, run: Run) -> None:
            self.run = run

        def __enter__(self) -> None:
            entered.append(self.run.task)

        def __exit__(self, *_error: object) -> None: ...

    scheduler.around(Around)
    scheduler.use_database(prepared_database_url)
    scheduler.tick()
    clock.advance(10)
    scheduler.tick()
    assert [run.state for run in scheduler.runs(job="j")] == ["succeeded"]
    assert (heard, entered) == (["run.succeeded"], ["work"])
    scheduler.stop(grace=0)


@pytest.mark.parametrize("call", UNSET)
def test_until_then_whatever_needs_it_says_what_to_do(
    call: Callable[[Scheduler], Any], clock: VirtualClock
) -> None:
    """No file is made, and nothing waits for what cannot come."""
    scheduler = late(clock)
    with pytest.raises(DatabaseURLError, match=r"call scheduler.use_database\(url\), or in Flask"):
        call(scheduler)
    assert scheduler.state == "stopped"
    scheduler.stop()


def test_until_then_looking_at_it_does_no_harm(clock: VirtualClock) -> None:
    """Its health, a doctor's findings and its representation say what is missing."""
    scheduler = late(clock)
    health = scheduler.health()
    assert (health.ok, health.database) == (False, "unusable")
    (finding,) = scheduler.examine()
    assert finding.level == "problem"
    assert "has no database URL" in finding.text
    assert repr(scheduler) == "<Scheduler 'default' on no database yet>"


def test_a_database_that_is_in_use_is_not_changed(make: Make, prepared_sqlite_url: str) -> None:
    """Neither that of a scheduler that was made with one, nor while a worker lives on it."""
    with pytest.raises(LifecycleError, match="was created with a URL already"):
        make().use_database(prepared_sqlite_url)
    scheduler = late(VirtualClock(START))
    scheduler.use_database(prepared_sqlite_url)
    scheduler.tick()
    with pytest.raises(LifecycleError, match=r"call stop\(\) first"):
        scheduler.use_database(prepared_sqlite_url)
    scheduler.stop(grace=0)
    with pytest.raises(DatabaseURLError):
        scheduler.use_database("nonsense")
    scheduler.use_database(prepared_sqlite_url)
    assert [job.id for job in scheduler.jobs()] == ["j"]
    scheduler.stop()
