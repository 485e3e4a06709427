"""Outcomes are written back whatever other transactions do with the runs' jobs."""

from __future__ import annotations

import pytest

from duly import at
from duly.store import jobs
from tests.support.waiting import wait_until
from tests.worker.conftest import World
from tests.worker.internals import write_back


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_a_success_does_not_wait_for_a_lock_on_its_job(
    database: str, request: pytest.FixtureRequest
) -> None:
    """Firing, rescue and edits lock jobs; a success is written back meanwhile."""
    world = World(request.getfixturevalue(f"prepared_{database}_url"))
    worker, other = world.scheduler(), world.scheduler()
    worker.task(name="work")(lambda: None)
    worker.add("work", at(world.clock.now()), id="report")
    worker.tick(wait=False)
    wait_until(lambda: not worker.in_flight())
    with other.store.write() as tx:
        assert jobs.lock(tx, ["report"])
        write_back(worker)
    (run,) = worker.runs(job="report")
    assert run.state == "succeeded"
    world.close()
