"""Writing back what became of runs does not depend on what others do with their jobs."""

from __future__ import annotations

import pytest

from duly import at
from duly.store import jobs
from tests.support.waiting import wait_until
from tests.worker.conftest import World


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_a_success_does_not_wait_for_whoever_has_locked_its_job(
    database: str, request: pytest.FixtureRequest
) -> None:
    """Firing, rescue and edits lock jobs; a worker whose runs succeed goes on meanwhile."""
    world = World(request.getfixturevalue(f"prepared_{database}_url"))
    worker, other = world.scheduler(), world.scheduler()
    worker.task(name="work")(lambda: None)
    worker.add("work", at(world.clock.now()), id="report")
    engine = worker._engine
    wait_until(lambda: engine.tick(wait=False) or engine._ended)
    wait_until(lambda: engine._ended)
    with other.store.write() as tx:
        assert jobs.lock(tx, ["report"])
        engine._ended.flush(engine.heart.worker_id)
    (run,) = worker.runs(job="report")
    assert run.state == "succeeded"
    world.close()
