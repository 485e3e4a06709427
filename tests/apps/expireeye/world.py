"""ExpireEye in this process, under a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select
from starlette.testclient import TestClient, WebSocketTestSession

from apps.expireeye import sign_ins
from apps.expireeye.app import create_app
from apps.expireeye.dates import parse_expiry, to_wire
from apps.expireeye.inventory import add_item, product_named
from apps.expireeye.jobs import CHECK
from apps.expireeye.models import Notification, User, UserProduct
from apps.expireeye.services import Services
from apps.expireeye.settings import Settings
from apps.expireeye.tokens import ACCESS
from duly import RunRecord, VirtualClock
from tests.support.waiting import wait_until

T = TypeVar("T")
SECRET = "a secret for tests that is long enough"


class Person:
    """A user and their bearer token."""

    def __init__(self, world: World, user: User) -> None:
        self.id = user.id
        self.user = user
        self.token = world.token_of(user)
        self._client = world.client

    def call(self, method: str, path: str, **options: Any) -> Any:
        """A request with the token."""
        headers = {"authorization": f"Bearer {self.token}"}
        return self._client.request(method, path, headers=headers, **options)

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, params=params)

    def post(self, path: str, **body: Any) -> Any:
        return self.call("POST", path, json=body)

    def patch(self, path: str, **body: Any) -> Any:
        return self.call("PATCH", path, json=body)


class World:
    """The application, a client of it, and its clock."""

    def __init__(self, client: TestClient, clock: VirtualClock) -> None:
        self.client = client
        self.clock = clock
        self.services: Services = client.app.state.services  # type: ignore[attr-defined]
        self.scheduler = self.services.scheduler

    def wait_for(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a coroutine function on the application's own loop."""
        assert self.client.portal is not None
        return self.client.portal.call(function, *args)

    def person(self, email: str, *, zone: str = "UTC", role: str = "member") -> Person:
        """A new user, without the cost of a password."""

        async def add() -> User:
            async with self.services.database.begin() as session:
                user = User(
                    email=email, password_hash="none", role=role, time_zone=zone,
                    created_at=self.clock.now(),
                )  # fmt: skip
                session.add(user)
            return user

        return Person(self, self.wait_for(add))

    def token_of(self, user: User) -> str:
        """A bearer token, as a login gives it."""

        async def begin() -> str:
            async with self.services.database.begin() as session:
                return (await sign_ins.begin(session, user, self.clock.now(), ACCESS)).id

        return self.services.tokens.issue("access", ACCESS, id=self.wait_for(begin))

    def item(self, owner: Person, name: str, expiry: datetime | str) -> str:
        """Give someone a product; returns the item's id."""
        text = expiry if isinstance(expiry, str) else to_wire(expiry)

        async def add() -> str:
            async with self.services.database.begin() as session:
                product = await product_named(session, name)
                owned = await add_item(
                    session, owner.user, self.clock.now(),
                    product_id=product.id, expiry=parse_expiry(text, owner.user.time_zone),
                )  # fmt: skip
                return owned.item.id

        return self.wait_for(add)

    def items(self) -> dict[str, UserProduct]:
        """Every item by its id, as stored."""
        return {item.id: item for item in self._all(UserProduct)}

    def notices(self) -> list[Notification]:
        """Every notice, as stored."""
        return self._all(Notification)

    def soon(self, seconds: float) -> datetime:
        """A moment from now."""
        return self.clock.now() + timedelta(seconds=seconds)

    def tick(self) -> RunRecord:
        """Move to the job's next tick and take it; returns its run."""
        due = self.scheduler.job(CHECK).next_fire_at
        assert due is not None
        self.clock.advance(max(0.0, (due - self.clock.now()).total_seconds()))
        self.scheduler.tick()
        return self.runs(limit=1)[0]

    def runs(self, **filters: Any) -> list[RunRecord]:
        found: list[RunRecord] = self.scheduler.runs(job=CHECK, **filters)
        return found

    @contextmanager
    def socket(self, person: Person) -> Iterator[WebSocketTestSession]:
        """A connected and signed-in socket, before its ``ready``."""
        before = self.services.hub.count(person.id)
        with self.client.websocket_connect("/ws/notifications") as socket:
            socket.send_json({"type": "auth", "token": person.token})
            wait_until(lambda: self.services.hub.count(person.id) > before, what="the socket")
            yield socket
            socket.close()
            wait_until(lambda: self.services.hub.count(person.id) <= before, what="the farewell")

    def _all(self, model: type[T]) -> list[T]:
        async def read() -> list[T]:
            async with self.services.database.session() as session:
                return list(await session.scalars(select(model)))

        return self.wait_for(read)


@contextmanager
def world_on(url: str, clock: VirtualClock | None = None, **settings: Any) -> Iterator[World]:
    """The application on a database, its scheduler stepped by `World.tick`.

    Args:
        url: the database.
        clock: to go on with that of an earlier world.
        settings: differing from the test's usual ones; ``scheduler_enabled=True`` starts the
            engine, which then steps itself whenever the clock is moved.
    """
    clock = clock or VirtualClock()
    usual = {"database_url": url, "scheduler_enabled": False, "jwt_secret": SECRET}
    app = create_app(Settings(**{**usual, **settings}), clock)
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 50000)) as client:
        world = World(client, clock)
        if not world.services.settings.scheduler_enabled:
            world.scheduler.tick()
        yield world
