"""The check itself: what expires, when, and with which notice."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import event, text

from apps.expireeye import jobs
from apps.expireeye.expiry import PARK_AFTER
from apps.expireeye.models import UserProduct
from tests.apps.expireeye.world import World

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


def test_01_one_second_past_its_date_an_item_expires(each_world: World) -> None:
    """The tick sets the status, and `updatedAt` to its own time."""
    world, ana = each_world, each_world.person("ana@example.com")
    item = world.item(ana, "Milk", world.soon(9))
    run = world.tick()
    shown = ana.get(f"/user-products/{item}").json()
    assert shown["status"] == "expired"
    assert shown["updatedAt"] == shown["expiredAt"] == "2026-01-01T00:00:10Z"
    assert run.result["checked"] == run.result["expired"] == run.result["notified"] == 1


def test_02_the_very_instant_is_still_good(each_world: World) -> None:
    """An item whose date is the tick's now stays active; one microsecond later it expires."""
    world, ana = each_world, each_world.person("ana@example.com")
    item = world.item(ana, "Milk", world.soon(10))
    world.tick()
    assert world.items()[item].status == "active"
    world.clock.advance(microseconds=1)
    world.scheduler.run_now(jobs.CHECK, wait=1)
    assert world.items()[item].status == "expired"
    assert world.items()[item].updated_at == world.soon(0)


def test_04_one_notice_after_a_hundred_further_ticks(each_world: World) -> None:
    """An expiry has exactly one notification, however often the check runs."""
    world, ana = each_world, each_world.person("ana@example.com")
    item = world.item(ana, "Milk", world.soon(5))
    for _ in range(101):
        world.tick()
    (notice,) = world.notices()
    assert (notice.type, notice.message) == ("warning", "Product Milk has expired")
    assert (notice.user_id, notice.user_product_id) == (ana.id, item)


def test_06_a_failed_commit_announces_nothing(each_world: World) -> None:
    """No frame, no change; the next tick succeeds with one notice."""
    world, ana = each_world, each_world.person("ana@example.com")
    item = world.item(ana, "Milk", world.soon(5))
    engine = world.services.database.engine.sync_engine
    with world.socket(ana) as socket:
        assert socket.receive_json()["type"] == "ready"
        event.listen(engine, "commit", _no_commit)
        failed = world.tick()
        event.remove(engine, "commit", _no_commit)
        assert failed.state == "failed"
        assert (world.items()[item].status, world.notices()) == ("active", [])
        assert world.tick().state == "succeeded"
        assert socket.receive_json()["timestamp"] == "2026-01-01T00:00:20Z"
    assert len(world.notices()) == 1


def test_07_poison_row_does_not_stop_the_batch(each_world: World) -> None:
    """Of 50, one without catalogue row and one that raises: the others expire in the same tick."""
    world, ana = each_world, each_world.person("ana@example.com")
    items = [world.item(ana, f"Product {n}", world.soon(1 + n / 100)) for n in range(50)]
    _execute(world, "delete from products where name = 'Product 7'")
    _forbid_notice(world, "Product 31")
    run = world.tick()
    assert run.counters == {"checked": 50, "expired": 49, "notified": 49, "pushed": 0, "failed": 1}
    stored = world.items()
    assert stored[items[31]].status == "active"
    assert {stored[i].status for i in items if i != items[31]} == {"expired"}
    unknown = f"Unknown product ({stored[items[7]].product_id})"
    assert sorted(n.product_name for n in world.notices()) == sorted(
        unknown if n == 7 else f"Product {n}" for n in range(50) if n != 31
    )


def test_an_item_that_fails_five_runs_is_parked(
    each_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported once as an error, left alone for an hour, and then tried again."""
    world, ana = each_world, each_world.person("ana@example.com")
    item = world.item(ana, "Poison", world.soon(5))
    _forbid_notice(world, "Poison")
    with caplog.at_level(logging.WARNING, "apps.expireeye"):
        failed = [world.tick().counters["failed"] for _ in range(PARK_AFTER + 5)]
    assert failed == [1] * PARK_AFTER + [0] * 5
    assert [r.levelname for r in caplog.records if item in r.message].count("ERROR") == 1
    _allow_notices(world)
    world.clock.advance(minutes=59)
    world.tick()
    assert world.items()[item].status == "active"
    world.clock.advance(minutes=1)
    assert world.tick().counters["expired"] == 1


@pytest.mark.timeout(600)
def test_16_a_thousand_ticks_with_errors_leak_no_connection(world: World) -> None:
    """Failed queries, failed commits and bad items do not change the number of connections."""
    ana = world.person("ana@example.com")
    _forbid_notice(world, "Poison")
    engine = world.services.database.engine.sync_engine
    before = 0
    for n in range(1000):
        if n % 100 == 0:
            world.item(ana, "Poison", world.soon(5))
        if n % 3 == 0:
            event.listen(engine, "commit", _no_commit)
        elif n % 5 == 0:
            event.listen(engine, "before_cursor_execute", _no_select)
        world.tick()
        for name, listener in (("commit", _no_commit), ("before_cursor_execute", _no_select)):
            if event.contains(engine, name, listener):
                event.remove(engine, name, listener)
        if n == 20:
            before = _open_connections(world)
    assert _open_connections(world) == before > 0
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert len(world.runs(state="failed", limit=1000)) > 400


def test_17_a_new_date_brings_an_item_back(each_world: World) -> None:
    """Its new date yields a second notice; the very same date again does not."""
    world, ana = each_world, each_world.person("ana@example.com")
    item = world.item(ana, "Milk", world.soon(5))
    first = ana.get(f"/user-products/{item}").json()["expiryDate"]
    world.tick()
    moved = ana.patch(f"/user-products/{item}", expiryDate="2026-01-01T00:00:15Z").json()
    assert (moved["status"], moved["expiredAt"]) == ("active", None)
    world.tick()
    assert [notice.expiry_date.second for notice in world.notices()] == [5, 15]
    assert ana.patch(f"/user-products/{item}", expiryDate=first).json()["status"] == "expired"
    ana.patch(f"/user-products/{item}", expiryDate="2027-01-01")
    assert ana.patch(f"/user-products/{item}", expiryDate=first).json()["status"] == "active"
    assert world.tick().counters["expired"] == 1
    assert len(world.notices()) == 2


def test_a_date_in_the_past_is_found_by_the_next_tick(world: World) -> None:
    """A new item is active whatever its date; only the check makes it expired."""
    ana = world.person("ana@example.com")
    item = world.item(ana, "Milk", "2020-02-02")
    assert world.items()[item].status == "active"
    world.tick()
    assert world.items()[item].status == "expired"


def test_batches_repeat_until_no_item_remains(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run expires several batches of items, unless its time budget is used up."""
    settings = world.services.settings
    monkeypatch.setattr(jobs, "BUDGET", -1)
    ana = world.person("ana@example.com")
    size = settings.expiry_batch_size
    _many(world, ana.id, 2 * size + 1)
    assert world.tick().counters["expired"] == size
    monkeypatch.setattr(jobs, "BUDGET", 0.8)
    assert world.tick().counters["expired"] == size + 1


def test_quiet_runs_are_quiet(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Only a run that changed something logs above DEBUG, and names the changes."""
    ana = world.person("ana@example.com")
    with caplog.at_level(logging.INFO, "apps.expireeye"):
        world.tick()
        assert not caplog.records
        item = world.item(ana, "Milk", world.soon(5))
        world.tick()
    messages = [record.getMessage() for record in caplog.records]
    assert f"Item {item} has expired." in messages
    assert any(m.startswith("Notification 1 stored") for m in messages)
    assert any(m.startswith("Check finished:") for m in messages)


def _no_commit(_connection: object) -> None:
    raise RuntimeError("the disk is full")


def _no_select(*arguments: object) -> None:
    if "FROM user_products" in str(arguments[2]):
        raise RuntimeError("the query failed")


def _execute(world: World, *statements: str) -> None:
    async def run() -> None:
        async with world.services.database.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    world.wait_for(run)


def _forbid_notice(world: World, name: str) -> None:
    """Make the database reject the notifications of a product."""
    if world.services.database.engine.dialect.name == "sqlite":
        _execute(
            world,
            f"create trigger poison before insert on notifications when new.product_name = '{name}'"
            " begin select raise(abort, 'poison'); end",
        )
    else:
        _execute(
            world,
            "alter table notifications add constraint poison check "
            f"(product_name <> '{name}') not valid",
        )


def _allow_notices(world: World) -> None:
    if world.services.database.engine.dialect.name == "sqlite":
        _execute(world, "drop trigger poison")
    else:
        _execute(world, "alter table notifications drop constraint poison")


def _many(world: World, user_id: int, count: int) -> None:
    async def add() -> None:
        now = world.clock.now()
        common = {"user_id": user_id, "product_id": "none", "expiry_date": now}
        async with world.services.database.begin() as session:
            session.add_all(
                UserProduct(**common, created_at=now, updated_at=now) for _ in range(count)
            )

    world.wait_for(add)


def _open_connections(world: World) -> int:
    """Open handles of the database file in this process."""
    name = Path(world.services.database.engine.url.database or "").name
    return sum(Path(file.path).name == name for file in psutil.Process().open_files())
