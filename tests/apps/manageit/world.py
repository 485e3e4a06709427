"""ManageIt in this process, under a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from flask import Flask

from apps.manageit import alerts, feedback, menus, notices, waste
from apps.manageit.app import create_app
from apps.manageit.database import DatabaseManager, Row
from apps.manageit.services import Services
from apps.manageit.settings import Meal, Settings
from duly import Clock, JobRecord, RunRecord, Scheduler, VirtualClock
from tests.apps.passing_time import Time, instant
from tests.apps.postbox import Postbox, Sent

T = TypeVar("T")
SECRET = "a secret for tests that is long enough"
START = datetime(2026, 6, 15, 6, tzinfo=UTC)
"""A Monday, at 11:30 in Kolkata."""

TODAY = date(2026, 6, 15)


class World(Time):
    """The application, its clock, and the mails that it has sent.

    Attributes:
        app: the application.
        clock: its clock.
        scheduler: its scheduler, which only `run_due` and the methods that use it step.
        database: its cursor helper.
        post: the mails.
    """

    def __init__(self, app: Flask, clock: Clock, *, mail: bool) -> None:
        self.app = app
        self.clock: Any = clock
        self.scheduler: Scheduler = app.extensions["scheduler"]
        self.post = Postbox()
        services: Services = app.extensions["manageit"]
        app.extensions["manageit"] = replace(services, mailer=self.post if mail else None)
        self.database: DatabaseManager = services.database
        self._people = 0

    # ------------------------------------------------------------------------------- data

    def do(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Call a function in the application context."""
        with self.app.app_context():
            return function(*args, **options)

    def execute(self, statement: str, *values: Any) -> int:
        """Execute a statement that writes, and return the number of rows that it changed."""
        with self.database.get_db_cursor() as (cursor, _connection):
            return cursor.execute(statement, values).count

    def rows(self, table: str, condition: str = "1 = 1", *values: Any) -> list[Row]:
        """The rows of a table, in the order in which they were stored."""
        statement = f"SELECT * FROM {table} WHERE {condition}"
        order = "" if table == "messes" else " ORDER BY id"
        with self.database.get_db_cursor(write=False) as (cursor, _connection):
            return cursor.execute(statement + order, values).all()

    def insert(self, table: str, **row: Any) -> int:
        """Store a row, and return its id."""
        with self.database.get_db_cursor() as (cursor, _connection):
            return cursor.insert(table, row)

    def mess(self, name: str) -> str:
        """A new mess in use."""
        self.insert("messes", name=name, display_name=name.capitalize())
        return name

    def official(self, mess: str = "mess1") -> int:
        """An official of a mess, without the cost of a password."""
        return self._user("mess_official", mess)

    def student(self) -> int:
        return self._user("student")

    def admin(self) -> int:
        return self._user("admin")

    def _user(self, role: str, mess: str | None = None) -> int:
        self._people += 1
        return self.insert(
            "users", name=f"Person {self._people}", email=f"person{self._people}@example.com",
            role=role, mess_name=mess, password_hash="none",
        )  # fmt: skip

    def waste(
        self, kg: str, *, floor: str = "first", day: date | None = None, mess: str = "mess1"
    ) -> None:
        """Record the waste of a floor; default: of today."""
        self.do(waste.record, mess, floor, Decimal(kg), day or self.today())

    def feedback(
        self, rating: int, comment: str = "", *, meal: Meal = "Lunch", mess: str = "mess1"
    ) -> None:
        """Let a new student rate a meal of today."""
        self.do(feedback.give, self.student(), mess, meal, rating, comment)

    def dated(self, day: date, item: str = "Idli", *, mess: str = "mess1") -> int | None:
        """A dated item instead of a lunch of the regular menu."""
        return self.do(menus.add_dated, mess, day, "Lunch", item)

    def non_veg(self, day: date, *, mess: str = "mess1") -> int:
        """Two non-vegetarian extras of a dinner."""
        prices = {"Chicken curry": Decimal("80.50"), "Fish fry": Decimal(95)}
        return self.do(menus.add_non_veg, mess, day, "Dinner", prices)

    # ------------------------------------------------------------------------------- time

    def today(self) -> date:
        """The date in the zone of the messes."""
        zone = self.app.extensions["manageit"].settings.zone
        today: date = self.clock.now().astimezone(zone).date()
        return today

    def use_clock(self, clock: Clock) -> None:
        """Let the application have the clock that `duly.testing` has given its scheduler."""
        self.clock = clock
        self.app.extensions["manageit"] = replace(self.app.extensions["manageit"], clock=clock)

    # ---------------------------------------------------------------------------- answers

    def run_now(self, job_id: str) -> RunRecord:
        """Run a job outside of its schedule, and return the finished run."""
        started = self.scheduler.run_now(job_id)
        self.run_due()
        return self.scheduler.run(started.id)

    def job(self, job_id: str) -> JobRecord:
        return self.scheduler.job(job_id)

    def runs(self, job_id: str, **filters: Any) -> list[RunRecord]:
        """The runs of a job, newest first."""
        return self.scheduler.runs(job=job_id, limit=1000, **filters)

    def run(self, job_id: str) -> RunRecord:
        """The newest run of a job."""
        return self.runs(job_id)[0]

    def generate(self) -> RunRecord:
        """Generate the alerts of all messes."""
        return self.run_now("generate_high_low_alerts")

    def board(self, mess: str = "mess1") -> alerts.Board:
        """The alerts of a mess as its officials see them."""
        found = self.do(alerts.board, mess)
        assert found is not None
        return found

    def messages(self, mess: str = "mess1") -> list[str]:
        """The texts of the open alerts of a mess."""
        return [row["message"] for row in self.board(mess).alerts]

    def notices(self) -> list[Row]:
        """The stored notices of the admins, oldest first."""
        return self.do(notices.recent)[::-1]

    def mails(self) -> list[Sent]:
        """Do what is due, and return the mails that were sent since the last call."""
        self.run_due()
        sent, self.post.sent = self.post.sent, []
        return sent


@contextmanager
def world_on(
    url: str, at: datetime | str = START, *, mail: bool = True, **settings: Any
) -> Iterator[World]:
    """The application on a prepared database, its scheduler stepped by `World.run_due`.

    Args:
        url: the database.
        at: when the test begins.
        mail: whether a mail server is configured.
        settings: differing from the usual ones.
    """
    with app_on(url, VirtualClock(instant(at)), mail=mail, **settings) as world:
        world.run_due()
        yield world


@contextmanager
def app_on(url: str, clock: Clock, *, mail: bool = True, **settings: Any) -> Iterator[World]:
    """An application object, of which a test may have several on one database and clock."""
    usual = {"database_url": url, "scheduler_enabled": False, "secret_key": SECRET}
    app = create_app(settings=Settings(**{**usual, **settings}), clock=clock)
    world = World(app, clock, mail=mail)
    try:
        yield world
    finally:
        world.scheduler.stop(grace=0)
        world.database.close()
