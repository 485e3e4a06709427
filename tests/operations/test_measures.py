"""The numbers that monitoring reads."""

from __future__ import annotations

from datetime import timedelta

from duly import OutcomeCount, Scheduler, VirtualClock, every
from tests.operations.conftest import Make, with_tasks


def test_counts_of_a_new_scheduler_are_zero(scheduler: Scheduler) -> None:
    """Every number is there from the beginning, so that an alert finds it."""
    counts = scheduler.counts()
    assert counts.outcomes == []
    assert [(queue.name, queue.ready, queue.oldest_age) for queue in counts.queues] == [
        ("default", 0, None)
    ]
    assert counts.unfinished == {"scheduled": 0, "ready": 0, "running": 0}
    assert counts.workers == {"alive": 0, "draining": 0, "silent": 0}
    assert (counts.failing_jobs, counts.dead, counts.stopped) == (0, 0, False)


def test_counts_tell_what_is_stored(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Ended runs, what waits and since when, jobs, dead letters, workers and switches."""
    scheduler.add("fail", every(minutes=1), id="failing")
    scheduler.add("work", every(hours=1), id="idle", paused=True)
    clock.advance(60)
    scheduler.tick()
    scheduler.enqueue("work", args={}, queue="mail")  # which nobody serves
    scheduler.enqueue("work", args={}, delay=3600)
    clock.advance(30)
    scheduler.pause_queue("mail", reason="later")
    scheduler.stop_all(reason="maintenance")
    counts = scheduler.counts()
    assert counts.outcomes == [OutcomeCount("fail", "default", "failed", 1)]
    queues = {queue.name: queue for queue in counts.queues}
    assert (queues["mail"].ready, queues["mail"].oldest_age, queues["mail"].paused) == (1, 30, True)
    assert (queues["default"].ready, queues["default"].paused) == (0, False)
    assert counts.unfinished == {"scheduled": 1, "ready": 1, "running": 0}
    assert counts.jobs == {"active": 1, "paused": 1}
    assert (counts.failing_jobs, counts.dead, counts.stopped) == (1, 1, True)
    assert counts.workers == {"alive": 1, "draining": 0, "silent": 0}


def test_a_worker_whose_lease_has_expired_is_silent(make: Make, clock: VirtualClock) -> None:
    """An alert on workers that are alive must not count it."""
    with_tasks(make(heartbeat="fast")).tick()
    clock.advance(timedelta(minutes=1).total_seconds())
    assert make().counts().workers == {"alive": 0, "draining": 0, "silent": 1}


def test_load_tells_what_occupies_the_process(make: Make) -> None:
    """While a run executes; afterwards nothing is in flight."""
    scheduler = make(queues={"default": 2, "mail": 1})
    seen = []
    scheduler.task(name="look")(lambda: seen.append(scheduler.load().in_flight))
    scheduler.enqueue("look")
    scheduler.tick()
    assert seen == [{"default": 1, "mail": 0}]
    load = scheduler.load()
    assert (load.in_flight, load.slots) == ({"default": 0, "mail": 0}, {"default": 2, "mail": 1})
    assert load.connections == 0
