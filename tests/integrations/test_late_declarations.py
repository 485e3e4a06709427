"""Jobs that are declared after the scheduler has started."""

from __future__ import annotations

from duly import Scheduler, VirtualClock, every


def test_a_job_declared_after_the_start_is_stored_at_once(sqlite_url: str) -> None:
    """A module that is imported after the start declares its jobs like any other."""
    scheduler = Scheduler(sqlite_url, heartbeat="fast")
    with scheduler.running():
        assert scheduler.jobs() == []

        @scheduler.job(every(hours=1), id="late")
        def late() -> str:
            return "ran"

        assert scheduler.job("late").origin == "code"
        assert scheduler.run_now("late", wait=10).result == "ran"


def test_a_job_declared_between_two_ticks_is_stored_at_once(sqlite_url: str) -> None:
    """A scheduler that is stepped by hand stores a late declaration, too."""
    clock = VirtualClock()
    scheduler = Scheduler(sqlite_url, clock=clock)
    scheduler.tick()

    @scheduler.job(every(seconds=10), id="late")
    def late() -> None: ...

    clock.advance(seconds=10)
    scheduler.tick()
    assert [run.state for run in scheduler.runs(job="late")] == ["succeeded"]
    scheduler.stop(grace=0)


def test_a_declaration_before_the_start_does_not_connect_to_the_database() -> None:
    """A module that declares jobs can be imported where the database is unreachable."""
    scheduler = Scheduler("postgresql+psycopg://nobody@127.0.0.1:1/none")

    @scheduler.job(every(hours=1))
    def early() -> None: ...

    assert scheduler.state == "stopped"
