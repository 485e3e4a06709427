"""Notices reach open sockets: the right ones, once, and never at another's expense."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import PendingRollbackError
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from apps.expireeye import push
from apps.expireeye.api import socket as socket_route
from apps.expireeye.follower import Follower
from apps.expireeye.metrics import Metrics
from apps.expireeye.models import Notification
from apps.expireeye.push import QUEUE_LIMIT, Frame, Hub
from apps.expireeye.services import Services
from apps.expireeye.settings import Settings
from apps.expireeye.tokens import ACCESS
from apps.rate_limits import Limit
from tests.apps.expireeye.world import SECRET, World
from tests.support.waiting import wait_until

KEYS = {"id", "type", "message", "productName", "expiryDate", "timestamp"}


def closed_with(socket: WebSocketTestSession) -> int:
    """The code that the server closes with, before it has sent anything."""
    with pytest.raises(WebSocketDisconnect) as closing:
        socket.receive_json()
    return closing.value.code


def test_05_the_owner_gets_one_frame_and_nobody_else(each_world: World) -> None:
    """Exactly six keys, the stored row's id, and silence for every other user."""
    world = each_world
    ana, ben = world.person("ana@example.com"), world.person("ben@example.com")
    world.item(ana, "Milk", world.soon(5))
    with world.socket(ana) as hers, world.socket(ben) as his:
        assert hers.receive_json() == {"type": "ready", "unread": 0}
        assert his.receive_json() == {"type": "ready", "unread": 0}
        assert world.tick().counters["pushed"] == 1
        frame = hers.receive_json()
        assert frame.keys() == KEYS
        (notice,) = world.notices()
        assert frame == {
            "id": notice.id,
            "type": "product_expiration",
            "message": "Product Milk has expired",
            "productName": "Milk",
            "expiryDate": "2026-01-01T00:00:05Z",
            "timestamp": "2026-01-01T00:00:10Z",
        }
        world.wait_for(world.services.follower.poll)
        for socket in (hers, his):  # whatever comes next answers this, so nothing came between
            socket.send_text("anything?")
            assert socket.receive_json()["type"] == "error"


def test_12_an_offline_user_finds_the_notice_and_gets_it_when_connecting(
    each_world: World,
) -> None:
    """Unread, never pushed notices are replayed, oldest first, and only once."""
    world, ana = each_world, each_world.person("ana@example.com")
    for name, seconds in (("Milk", 5), ("Eggs", 15)):
        world.item(ana, name, world.soon(seconds))
    world.tick()
    world.tick()
    listed = ana.get("/notifications", unread="true").json()
    assert listed["unread"] == 2
    assert [item["productName"] for item in listed["items"]] == ["Eggs", "Milk"]
    with world.socket(ana) as socket:
        assert socket.receive_json() == {"type": "ready", "unread": 2}
        assert [socket.receive_json()["productName"] for _ in range(2)] == ["Milk", "Eggs"]
    world.wait_for(world.services.follower.poll)
    assert all(notice.first_pushed_at for notice in world.notices())
    with world.socket(ana) as socket:
        assert socket.receive_json() == {"type": "ready", "unread": 2}
        socket.send_text("anything?")
        assert socket.receive_json()["type"] == "error"


def test_every_socket_of_a_user_is_told(world: World) -> None:
    """Two tabs, two frames; the list says read once one of them has read it."""
    ana = world.person("ana@example.com")
    world.item(ana, "Milk", world.soon(5))
    with world.socket(ana) as first, world.socket(ana) as second:
        assert first.receive_json()["type"] == second.receive_json()["type"] == "ready"
        world.tick()
        assert first.receive_json() == second.receive_json()
    (notice,) = world.notices()
    assert ana.post(f"/notifications/{notice.id}/read").status_code == 204
    assert ana.get("/notifications", unread="true").json() == {"items": [], "unread": 0}


def test_a_notice_stored_elsewhere_is_followed(each_world: World) -> None:
    """What another process stored, also under a smaller id, is found in the table."""
    world, ana = each_world, each_world.person("ana@example.com")
    with world.socket(ana) as socket:
        assert socket.receive_json()["type"] == "ready"
        _store(world, ana.id, 50)
        world.wait_for(world.services.follower.poll)
        assert socket.receive_json()["id"] == 50
        _store(world, ana.id, 49)  # committed later, numbered earlier
        world.wait_for(world.services.follower.poll)
        assert socket.receive_json()["id"] == 49
        world.wait_for(world.services.follower.poll)
        socket.send_text("anything?")
        assert socket.receive_json()["type"] == "error"


def test_20_nobody_gets_in_without_a_token_or_from_elsewhere(world: World) -> None:
    """Closed with 1008, and no data."""
    ana = world.person("ana@example.com")
    expired = ana.token
    world.clock.advance(ACCESS.total_seconds())
    fresh = world.token_of(ana.user)
    named = world.services.tokens.read("access", fresh)
    assert named is not None
    session = world.services.tokens.issue("session", ACCESS, id=named["id"])
    frames: list[Any] = [
        {"type": "auth", "token": "nonsense"},
        {"type": "auth", "token": expired},
        {"type": "auth", "token": session},
        {"type": "auth", "token": None},
        {"type": "ack", "id": 1},
        ["auth", fresh],
    ]
    for frame in frames:
        with world.client.websocket_connect("/ws/notifications") as socket:
            socket.send_json(frame)
            assert closed_with(socket) == 1008, frame
    for origin, welcome in (
        ("https://evil.example", False),
        ("null", False),
        ("http://localhost.evil.example", False),
        ("http://localhost", True),
    ):
        headers = {"origin": origin, "host": "localhost"}
        with world.client.websocket_connect("/ws/notifications", headers=headers) as socket:
            socket.send_json({"type": "auth", "token": fresh})
            if welcome:
                assert socket.receive_json()["type"] == "ready"
                socket.close()
                wait_until(lambda: world.services.hub.count(ana.id) == 0)
            else:
                assert closed_with(socket) == 1008


def test_silence_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not sign in within the time allowed is closed with 1008."""
    monkeypatch.setattr(socket_route, "AUTH_SECONDS", 0.01)
    with world.client.websocket_connect("/ws/notifications") as socket:
        assert closed_with(socket) == 1008


def test_a_frame_over_4_kib_is_closed_with_1009(world: World) -> None:
    """Before signing in and after."""
    ana = world.person("ana@example.com")
    with world.client.websocket_connect("/ws/notifications") as socket:
        socket.send_text("x" * 4097)
        assert closed_with(socket) == 1009
    with world.socket(ana) as socket:
        assert socket.receive_json()["type"] == "ready"
        socket.send_text("é" * 2049)
        assert closed_with(socket) == 1009


def test_the_oldest_socket_makes_room_for_one_too_many(world: World) -> None:
    """The sixth is served, the first is closed with 1008, and the others stay."""
    ana = world.person("ana@example.com")
    with ExitStack() as stack:
        sockets = [stack.enter_context(world.socket(ana)) for _ in range(5)]
        for socket in sockets:
            assert socket.receive_json()["type"] == "ready"
        with world.client.websocket_connect("/ws/notifications") as sixth:
            sixth.send_json({"type": "auth", "token": ana.token})
            assert sixth.receive_json()["type"] == "ready"
            assert closed_with(sockets[0]) == 1008
            world.item(ana, "Milk", world.soon(5))
            world.tick()
            for socket in (*sockets[1:], sixth):
                assert socket.receive_json()["productName"] == "Milk"
            assert world.services.hub.count(ana.id) == 5
            sixth.close()
            wait_until(lambda: world.services.hub.count(ana.id) == 4, what="the farewell")


def test_an_acknowledged_notification_is_read(world: World) -> None:
    """``ack`` marks it as read; another user's, an unknown one and other frames are errors."""
    ana, ben = world.person("ana@example.com"), world.person("ben@example.com")
    world.item(ana, "Milk", world.soon(5))
    world.tick()
    (notice,) = world.notices()
    wrong: list[Any] = [
        {"type": "ack", "id": notice.id},
        {"type": "ack", "id": "1"},
        {"type": "ack", "id": 2**70},
        {"type": "ack"},
        {"type": "read"},
        [1],
    ]
    with world.socket(ben) as his:
        assert his.receive_json()["type"] == "ready"
        for frame in wrong:
            his.send_json(frame)
            assert his.receive_json()["type"] == "error", frame
    assert not world.notices()[0].read
    with world.socket(ana) as hers:
        assert hers.receive_json() == {"type": "ready", "unread": 1}
        assert hers.receive_json()["id"] == notice.id
        hers.send_json({"type": "ack", "id": notice.id})
        wait_until(lambda: world.notices()[0].read, what="the acknowledgement")


def test_connecting_too_often_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one address, for a minute; then it may try again."""
    ana = world.person("ana@example.com")
    monkeypatch.setattr(socket_route, "CONNECTS", Limit("few", 2, timedelta(seconds=60)))
    for _ in range(2):
        with world.socket(ana) as socket:
            assert socket.receive_json()["type"] == "ready"
    with world.client.websocket_connect("/ws/notifications") as socket:
        socket.send_json({"type": "auth", "token": ana.token})
        assert closed_with(socket) == 1008
    world.clock.advance(60)
    with world.socket(ana) as socket:
        assert socket.receive_json()["type"] == "ready"


class FakeSocket:
    """A connection whose reading can be stopped."""

    def __init__(self, expected: int = 0) -> None:
        self.reads = asyncio.Event()
        self.complete = asyncio.Event()
        self.received: list[str] = []
        self._expected = expected

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.received.append(text)
        if len(self.received) == self._expected:
            self.complete.set()


async def test_a_full_queue_drops_the_socket_and_never_waits() -> None:
    """100 frames wait for a socket that does not read; one more and it is dropped."""
    hub, fake = Hub(5, Metrics()), FakeSocket()
    socket = hub.attach(fake, 1, "sign-in")  # type: ignore[arg-type]
    taken = [hub.send(1, Frame.of({"n": n}, n)) for n in range(QUEUE_LIMIT + 1)]
    assert taken == [True] * QUEUE_LIMIT + [False]
    assert socket.dropped.is_set()
    assert hub.take_delivered() == []


async def test_a_send_that_takes_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is given up after the send time-out; what it did not get counts as not pushed."""
    monkeypatch.setattr(push, "SEND_TIMEOUT", 0.01)
    hub, fake = Hub(5, Metrics()), FakeSocket()
    socket = hub.attach(fake, 1, "sign-in")  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        await socket.pump([Frame.of({"n": 1}, 1)])
    assert hub.take_delivered() == []


async def test_what_was_replayed_is_not_sent_again() -> None:
    """A notice that was offered while the replay was being read goes out once."""
    hub, fake = Hub(5, Metrics()), FakeSocket(expected=3)
    fake.reads.set()
    socket = hub.attach(fake, 1, "sign-in")  # type: ignore[arg-type]
    for n in (7, 8):
        hub.send(1, Frame.of({"n": n}, n))
    pump = asyncio.create_task(socket.pump([Frame.of({"type": "ready"}), Frame.of({"n": 7}, 7)]))
    await asyncio.wait_for(fake.complete.wait(), 5)
    pump.cancel()
    assert [json.loads(text).get("n") for text in fake.received] == [None, 7, 8]
    assert hub.take_delivered() == [7, 8]


def _store(world: World, user_id: int, notice_id: int) -> None:
    async def add() -> None:
        now = world.clock.now()
        notice = Notification(
            id=notice_id, user_id=user_id, product_name="Milk", message="m", type="warning",
            user_product_id="i", expiry_date=now, dedupe_key=f"k{notice_id}", created_at=now,
        )  # fmt: skip
        async with world.services.database.begin() as session:
            session.add(notice)

    world.wait_for(add)


async def test_a_follower_that_is_cancelled_in_a_query_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy may report that query as an invalid transaction; the application must stop."""
    settings = Settings(
        database_url=f"sqlite+aiosqlite:///{tmp_path / 'app.db'}", jwt_secret=SECRET
    )
    services = Services(settings)
    asking = asyncio.Event()

    async def query(_follower: Follower) -> None:
        asking.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise PendingRollbackError("invalid transaction") from error

    monkeypatch.setattr(Follower, "poll", query)
    await services.database.create_tables_when_reachable()
    await services.follower.join(1)
    following = asyncio.create_task(services.follower.run())
    await asking.wait()
    following.cancel()
    _done, pending = await asyncio.wait([following], timeout=5)
    assert not pending
    assert following.cancelled()
    await services.database.engine.dispose()
