"""The alert system behind a real PgBouncer in transaction pooling mode, with asyncpg."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.apps.alerts.world import World, world_on
from tests.support.pgbouncer import pooled
from tests.support.postgresql import PostgresServer

AT_ONCE = 40


@pytest.fixture
def world(postgresql_url: str, postgres: PostgresServer, tmp_path: Path) -> Iterator[World]:
    """A database through a pooler; its ten alerts at once share three connections."""
    with pooled(postgresql_url, postgres, tmp_path) as url:
        native = url.replace("postgresql+psycopg://", "postgresql+asyncpg://")
        assert native.startswith("postgresql+asyncpg://")
        with world_on(native, database_pooler=True) as world:
            yield world


def test_the_main_path_of_the_checklist(world: World) -> None:
    """Create, run on time, change, run after another alert; fail, requeue; stop and start."""
    ana, otto = world.person(), world.admin()
    world.measure(3.25)
    alert = ana.alert(recipients=["ana@example.com"])
    child = ana.alert(name="After it", frequency=None)
    parents = {"parents": [{"parent_id": alert["id"], "condition": "on_triggered"}]}
    assert ana.call("PUT", f"/{child['id']}/dependencies", json=parents).status_code == 200
    world.move_to("2025-10-14T16:00:00+00:00")
    world.run_due()
    assert [one.trigger for one in world.instances()] == ["schedule", "dependency"]
    assert (len(world.tasks()), len(world.notices())) == (2, 1)

    rule = {"type": "hourly", "time": "00:30", "timezone": "UTC"}
    changed = ana.patch(f"/{alert['id']}/frequency", frequency=rule).json()
    assert changed["scheduling"]["next_run_time"] == "2025-10-14T16:30:00+00:00"
    damage = """UPDATE app.alerts SET task_template = '{"heading": "x"}' WHERE name <> 'After it'"""
    world.execute(damage)
    world.forward(minutes=30)
    [letter] = otto.get("/scheduler/dead-letters")["items"]
    assert letter["alert_id"] == alert["id"]
    ana.patch(f"/{alert['id']}", task_template={"title": "$value"})
    assert otto.post(f"/scheduler/dead-letters/{letter['id']}/requeue").status_code == 202
    world.run_due()
    assert otto.get("/scheduler/dead-letters")["items"] == []
    assert "retry" in [one.trigger for one in world.instances()]

    assert otto.post("/scheduler/stop").json()["status"] == "stopped"
    made = len(world.instances())
    world.forward(hours=1)
    assert len(world.instances()) == made
    otto.post("/scheduler/start")
    assert otto.post("/scheduler/reload").json()["errors"] == []


def test_many_alerts_share_three_connections(world: World) -> None:
    """All of one instant are executed once; neither the pool nor the pooler refuses one."""
    ana = world.person()
    world.measure(3.25)
    due = world.clock.now() + timedelta(minutes=1)
    rule = {"type": "once", "at": due.isoformat()}
    ids = [ana.alert(name=f"Alert {number}", frequency=rule)["id"] for number in range(AT_ONCE)]
    world.move_to(due)
    for _ in range(AT_ONCE):
        world.run_due()
    assert sorted(str(one.alert_id) for one in world.instances()) == sorted(ids)
    assert len(world.tasks()) == AT_ONCE
