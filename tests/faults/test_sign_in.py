"""ExpireEye under guesses, crowds and replays of what was valid once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.websockets import WebSocketDisconnect

from apps.expireeye import accounts
from apps.expireeye.app import create_app
from apps.expireeye.settings import Settings
from duly import VirtualClock
from tests.apps.expireeye.test_pages import OURS, Visitor
from tests.apps.expireeye.world import SECRET, World, world_on
from tests.apps.slow_work import SlowWork
from tests.support.waiting import wait_until

PASSWORD = "milk-and-honey"
ANA = {"email": "ana@example.com", "password": PASSWORD}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The databases that ExpireEye is made for."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@asynccontextmanager
async def served(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A process of ExpireEye, with an engine of its own; requests may be made in parallel."""
    settings = Settings(database_url=url, scheduler_enabled=False, jwt_secret=SECRET)
    app = create_app(settings, VirtualClock())
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 50000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=None) as client,
    ):
        yield client


async def test_S01_parallel_guesses_count_before_they_are_tried(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred guesses at once, to two processes, ten are tried; the others are refused."""
    tried: list[str] = []

    def verify(password: str, _: str) -> bool:
        tried.append(password)
        return False

    monkeypatch.setattr(accounts, "verify_password", verify)
    async with served(database_url) as first, served(database_url) as second:
        answers = await asyncio.gather(
            *(
                (first, second)[n % 2].post("/auth/login", json={**ANA, "password": f"guess {n}"})
                for n in range(100)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 90}
    assert len(tried) == 10


async def test_S01_what_succeeds_does_not_count(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole office may sign in one after another; only failures use up the limit."""
    monkeypatch.setattr(accounts, "verify_password", lambda password, _: password == PASSWORD)
    async with served(database_url) as client:
        assert (await client.post("/auth/register", json=ANA)).status_code == 201
        for _ in range(15):
            assert (await client.post("/auth/login", json=ANA)).status_code == 200


async def test_S02_others_write_while_passwords_are_hashed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowd registers and signs in: no hash waits within a transaction, so no other user waits.

    The hashes here do not end before another user's product is stored.
    """
    stored = threading.Event()

    def hash_slowly(password: str) -> str:
        assert stored.wait(120)
        return f"hash of {password}"

    async with served(database_url) as client:
        assert (await client.post("/auth/register", json=ANA)).status_code == 201
        answer = await client.post("/auth/login", json=ANA)
        ana = {"authorization": f"Bearer {answer.json()['accessToken']}"}
        monkeypatch.setattr(accounts, "hash_password", hash_slowly)
        monkeypatch.setattr(accounts, "verify_password", lambda *_: bool(hash_slowly("")))
        with SlowWork().watched() as slow_work:
            crowd = asyncio.gather(*(_register(client, n) for n in range(150)))
            signing_in = asyncio.gather(*(client.post("/auth/login", json=ANA) for _ in range(9)))
            async with asyncio.timeout(60):
                product = await client.post("/products", json={"name": "Milk"}, headers=ana)
            stored.set()
            registered, signed_in = await crowd, await signing_in
    assert product.status_code == 201
    assert {answer.status_code for answer in registered} == {201}
    assert {answer.status_code for answer in signed_in} == {200}
    assert slow_work.found == []


def test_S03_a_ticket_opens_one_socket(database_url: str) -> None:
    """Of eight sockets with one ticket, at once and through two processes, one opens."""
    with world_on(database_url) as first, world_on(database_url, clock=first.clock) as second:
        ana = first.person("ana@example.com")
        ticket = ana.post("/ws/ticket").json()["ticket"]
        with ThreadPoolExecutor(8) as threads:
            codes = list(threads.map(lambda n: _opens((first, second)[n % 2], ticket), range(8)))
        assert Counter(codes) == {"ready": 1, 1008: 7}


def test_S03_a_ticket_is_worth_nothing_after_30_seconds(sqlite_url: str) -> None:
    """In the query as in the first frame."""
    with world_on(sqlite_url) as world:
        ana = world.person("ana@example.com")
        tickets = [ana.post("/ws/ticket").json()["ticket"] for _ in range(3)]
        assert _opens(world, tickets[0], in_query=True) == "ready"
        assert _opens(world, tickets[0], in_query=True) == 1008
        world.clock.advance(30)
        assert _opens(world, tickets[1], in_query=True) == 1008
        assert _opens(world, tickets[2]) == 1008


def test_S03_a_cookie_is_refused_after_its_sign_out(database_url: str) -> None:
    """Replayed in another process, with its form token, or to fetch a ticket; so is its ticket."""
    with world_on(database_url) as first, world_on(database_url, clock=first.clock) as second:
        visitor = Visitor(first)
        visitor.register("ana@example.com")
        ours = {**OURS, "x-csrf-token": visitor.token}
        ticket = visitor.client.post("/ws/ticket", headers=ours).json()["ticket"]
        stolen = dict(visitor.client.cookies)
        assert visitor.send("/sign-out").url.path == "/sign-in"
        for world in (first, second):
            client = world.client
            client.cookies.clear()
            client.cookies.update(stolen)
            for path in ("/my-products", "/inbox"):
                assert client.get(path, headers={"accept": "text/html"}).url.path == "/sign-in"
            client.cookies.clear()
            client.cookies.update(stolen)
            form = {"csrf": visitor.token, "name": "Milk", "date": "2026-02-01"}
            client.post("/my-products", data=form, headers=OURS)
            assert client.post("/ws/ticket", headers=ours).status_code == 401
            assert client.get("/duly/api/v1/jobs").status_code == 401
            assert _opens(world, ticket) == 1008
        assert first.items() == {}


def test_S03_signing_in_again_ends_the_former_session(sqlite_url: str) -> None:
    """A copy of the cookie from before is worth nothing."""
    with world_on(sqlite_url) as world:
        visitor = Visitor(world)
        visitor.register("ana@example.com")
        stolen = dict(visitor.client.cookies)
        visitor.send("/sign-in", email=ANA["email"], password=PASSWORD)
        assert visitor.open("/my-products").url.path == "/my-products"
        world.client.cookies.clear()
        world.client.cookies.update(stolen)
        assert visitor.open("/my-products").url.path == "/sign-in"


def test_S03_a_session_lasts_while_its_pages_are_opened(sqlite_url: str) -> None:
    """Twelve hours after the last page, not after the first."""
    with world_on(sqlite_url) as world:
        visitor = Visitor(world)
        visitor.register("ana@example.com")
        for _ in range(4):
            world.clock.advance(hours=9)
            assert visitor.open("/my-products").url.path == "/my-products"
        world.clock.advance(hours=12)
        assert visitor.open("/my-products").url.path == "/sign-in"


def test_S03_a_bearer_token_is_refused_after_the_logout(database_url: str) -> None:
    """In every process; another token of the same user stays valid."""
    with world_on(database_url) as first, world_on(database_url, clock=first.clock) as second:
        ana = first.person("ana@example.com")
        other = first.token_of(ana.user)
        assert ana.post("/auth/logout").status_code == 204
        for world in (first, second):
            for token, status in ((ana.token, 401), (other, 200)):
                headers = {"authorization": f"Bearer {token}"}
                assert world.client.get("/user-products", headers=headers).status_code == status
            assert _opens(world, ana.token) == 1008


def test_S03_the_sockets_of_a_session_end_with_it(database_url: str) -> None:
    """Whichever process held the socket, and whichever took the sign-out."""
    with world_on(database_url) as first, world_on(database_url, clock=first.clock) as second:
        ana = first.person("ana@example.com")
        with second.client.websocket_connect("/ws/notifications") as socket:
            socket.send_json({"type": "auth", "token": ana.token})
            assert socket.receive_json()["type"] == "ready"
            assert ana.post("/auth/logout").status_code == 204
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
        assert closed.value.code == 1008


def _opens(world: World, token: str, *, in_query: bool = False) -> str | int:
    """The type of the first frame that a socket with this token receives, or its close code."""
    query = f"?ticket={token}" if in_query else ""
    with world.client.websocket_connect(f"/ws/notifications{query}") as socket:
        if not in_query:
            socket.send_json({"type": "auth", "token": token})
        try:
            first = str(socket.receive_json()["type"])
        except WebSocketDisconnect as closed:
            return closed.code
        socket.close()
        wait_until(lambda: not world.services.hub.sign_ins(), what="the farewell")
        return first


async def _register(client: httpx.AsyncClient, number: int) -> httpx.Response:
    body: dict[str, Any] = {"email": f"user{number}@example.com", "password": PASSWORD}
    return await client.post("/auth/register", json=body)
