"""The alert system in this process, under a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import select, text
from starlette.testclient import TestClient

from apps.alerts.app import create_app
from apps.alerts.models import Client, Instance, Membership, Metric, Notice, Role, Task, User
from apps.alerts.services import Services
from apps.alerts.settings import Settings
from apps.alerts.tokens import ACCESS
from duly import Clock, RunRecord, VirtualClock

T = TypeVar("T")
SECRET = "a secret for tests that is long enough"
AUTUMN = datetime(2025, 10, 14, 12, tzinfo=UTC)
"""A Tuesday of the specification's example, at 05:00 in Los Angeles."""

DAILY = {"type": "daily", "time": "09:00", "timezone": "America/Los_Angeles"}
API = "/api/v1/alerts"


class Person:
    """A user and their bearer token."""

    def __init__(self, world: World, user: User) -> None:
        self.user = user
        self.id = user.id
        self.client = world.client_id
        self._http = world.http
        self._tokens = world.services.tokens

    def call(self, method: str, path: str, **options: Any) -> Any:
        """A request with the token; paths begin after the API's prefix."""
        token = self._tokens.issue("access", self.id, ACCESS)
        headers = {"authorization": f"Bearer {token}"}
        return self._http.request(method, f"{API}{path}", headers=headers, **options)

    def get(self, path: str, **params: Any) -> Any:
        """The body of a response to GET, which must be 200."""
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        return self.call("POST", path, json=body)

    def patch(self, path: str, **body: Any) -> Any:
        return self.call("PATCH", path, json=body)

    def try_alert(self, **values: Any) -> Any:
        """The response to the creation of an alert."""
        return self.post("/", **{**alert_body(self.client), **values})

    def alert(self, **values: Any) -> dict[str, Any]:
        """Create an alert, and return it."""
        answer = self.try_alert(**values)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created


def alert_body(client_id: UUID) -> dict[str, Any]:
    """The body that creates the alert of the specification's example."""
    return {
        "client_id": str(client_id), "name": "High CPLPV Alert", "frequency": DAILY,
        "metric": "cplpv", "operator": ">", "threshold": 2.5,
        "task_template": {"title": "$name: $value", "assignee": "ana@example.com"},
    }  # fmt: skip


class World:
    """The application, a client of it, and its clock."""

    def __init__(self, http: TestClient, clock: Clock) -> None:
        self.http = http
        self.clock: Any = clock
        self.services: Services = http.app.state.services  # type: ignore[attr-defined]
        self.scheduler = self.services.scheduler
        self.client_id = self.add(Client(name="Acme")).id

    def wait_for(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a coroutine function on the application's own loop."""
        assert self.http.portal is not None
        return self.http.portal.call(function, *args)

    def add(self, *rows: Any) -> Any:
        """Store rows, and return the first."""

        async def store() -> Any:
            async with self.services.database.begin() as session:
                session.add_all(rows)
            return rows[0]

        return self.wait_for(store)

    def person(
        self, email: str = "ana@example.com", *, role: Role = "client", client: UUID | None = None
    ) -> Person:
        """A new user, without the cost of a password; client users are members of a client."""
        user = User(
            id=uuid4(), email=email, password_hash="none", role=role, created_at=self.clock.now()
        )
        self.add(user)
        person = Person(self, user)
        if role == "client":
            person.client = client or self.client_id
            self.add(Membership(user_id=user.id, client_id=person.client))
        return person

    def admin(self) -> Person:
        return self.person("otto@example.com", role="admin")

    def measure(self, value: float, *, metric: str = "cplpv", client: UUID | None = None) -> None:
        """A figure of a client, measured now."""
        row = Metric(
            client_id=client or self.client_id, metric=metric, value=value,
            measured_at=self.clock.now(),
        )  # fmt: skip
        self.add(row)

    def rows(self, model: type[T]) -> list[T]:
        """Every row of a table."""

        async def read() -> list[T]:
            async with self.services.database.session() as session:
                return list(await session.scalars(select(model)))

        return self.wait_for(read)

    def instances(self) -> list[Instance]:
        return sorted(self.rows(Instance), key=lambda one: one.triggered_at)

    def tasks(self) -> list[Task]:
        return self.rows(Task)

    def notices(self) -> list[Notice]:
        return self.rows(Notice)

    def execute(self, statement: str, **values: Any) -> None:
        """Do damage by hand: ``app.`` is left out on SQLite, which has no schemas."""

        async def run() -> None:
            async with self.services.database.engine.begin() as connection:
                sqlite = connection.dialect.name == "sqlite"
                own = statement.replace("app.", "") if sqlite else statement
                await connection.execute(text(own), values)

        self.wait_for(run)

    def run_due(self) -> None:
        """Do everything that is due now."""
        self.wait_for(self.scheduler.aio.tick)

    def move_to(self, moment: datetime | str) -> None:
        """Let it become a moment, and do what is due then."""
        wanted = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        self.clock.advance((wanted - self.clock.now()).total_seconds())
        self.run_due()

    def forward(self, **length: float) -> None:
        """Let time pass, and do what is due then."""
        self.move_to(self.clock.now() + timedelta(**length))

    def times_of(self, alert_id: str, until: datetime | str) -> list[datetime]:
        """Let an alert run at each of its times, and return them."""
        end = datetime.fromisoformat(until) if isinstance(until, str) else until
        while (due := self.scheduler.job(f"alert_{alert_id}").next_fire_at) and due <= end:
            self.move_to(due)
        made = [one for one in self.rows(Instance) if str(one.alert_id) == alert_id]
        return sorted(one.scheduled_for for one in made if one.scheduled_for)

    def runs(self, alert_id: str, **filters: Any) -> list[RunRecord]:
        """The runs of an alert, newest first."""
        return self.scheduler.runs(tag=f"alert:{alert_id}", **filters)


@contextmanager
def world_on(
    url: str, at: datetime = AUTUMN, *, clock: Clock | None = None, **settings: Any
) -> Iterator[World]:
    """The application on a database, its scheduler stepped by `World.move_to`.

    Args:
        url: the database.
        at: when the test begins.
        clock: another clock than a virtual one that begins then.
        settings: differing from the usual ones.
    """
    clock = clock or VirtualClock(at)
    usual = {"database_url": url, "scheduler_enabled": False, "jwt_secret": SECRET}
    app = create_app(Settings(**{**usual, **settings}), clock)
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 50000)) as http:
        world = World(http, clock)
        if world.services.settings.scheduler_enabled:
            yield world
            return
        world.run_due()
        yield world
        world.wait_for(world.scheduler.aio.stop)
