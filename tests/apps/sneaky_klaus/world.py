"""Sneaky Klaus in this process, under a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import select

from apps.sneaky_klaus import exchanges, participants
from apps.sneaky_klaus.app import create_app
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.models import Admin, Exchange, Match, Participant, Webhook
from apps.sneaky_klaus.reminders import job_id
from apps.sneaky_klaus.settings import Settings
from apps.sneaky_klaus.webhooks import EVENTS
from duly import Clock, JobRecord, RunRecord, Scheduler, VirtualClock
from tests.apps.passing_time import Time, instant
from tests.apps.postbox import Postbox, Sent

T = TypeVar("T")
SECRET = "a secret for tests that is long enough"
HOOK_SECRET = "a secret of a webhook"
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
NEW_YORK = "America/New_York"


class World(Time):
    """The application, its clock, and the mails that it has sent.

    Attributes:
        app: the application.
        clock: its clock.
        scheduler: its scheduler, which only `run_due` and the methods that use it step.
        post: the mails.
    """

    def __init__(self, app: Flask, clock: Clock) -> None:
        self.app = app
        self.clock: Any = clock
        self.scheduler: Scheduler = app.extensions["duly"]
        self.post = Postbox()
        own = app.extensions["sneaky_klaus"]
        app.extensions["sneaky_klaus"] = replace(own, mailer=self.post)

    # ------------------------------------------------------------------------------- data

    def do(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Call a function in the application context and a transaction."""
        with self.app.app_context(), transaction():
            return function(*args, **options)

    def add(self, row: Any) -> int:
        """Store a row, and return its id."""

        def store() -> int:
            db.session.add(row)
            db.session.flush()
            return int(row.id)

        return self.do(store)

    def add_all(self, *rows: Any) -> None:
        self.do(lambda: db.session.add_all(rows))

    def rows(self, model: type[T]) -> list[T]:
        """Every row of a table."""
        with self.app.app_context():
            found = list(db.session.scalars(select(model)))
            db.session.expunge_all()
        return found

    def get(self, model: type[T], key: Any) -> T | None:
        """A row as it is stored now."""
        with self.app.app_context():
            found = db.session.get(model, key)
            db.session.expunge_all()
        return found

    def exchange(
        self,
        event: datetime | str,
        *,
        timezone: str = NEW_YORK,
        name: str = "Office party",
        people: int = 3,
        days: Sequence[int] = (7, 3, 1),
    ) -> int:
        """An exchange whose registration is closed, with participants; returns its id.

        Args:
            event: its instant; text without an offset is local time in its zone.
            timezone: its zone.
            name: its name.
            people: the number of participants.
            days: how many days before it people are reminded.
        """

        def store() -> int:
            made = exchanges.create(name, instant(event, timezone), timezone)
            made.reminder_days = list(days)
            made.state = "REGISTRATION_CLOSED"
            return made.id

        created = self.do(store)
        self.people(created, people)
        return created

    def people(self, exchange_id: int, number: int) -> list[int]:
        """Add participants to an exchange, and return their ids."""
        return [
            self.add(
                Participant(
                    exchange_id=exchange_id, name=f"Person {n}",
                    email=f"person{n}@{exchange_id}.example.com", created_at=self.clock.now(),
                )
            )
            for n in range(1, number + 1)
        ]  # fmt: skip

    def matched(self, event: datetime | str, **options: Any) -> int:
        """A matched exchange, whose mails about that have been sent and forgotten."""
        created = self.exchange(event, **options)
        self.match(created)
        self.mails()
        return created

    def match(self, exchange_id: int) -> None:
        self.do(lambda: exchanges.match(found(exchange_id)))

    def move(self, exchange_id: int, wanted: exchanges.Move) -> None:
        """Do what an admin may do with an exchange."""
        self.do(lambda: exchanges.move(found(exchange_id), wanted))

    def edit(self, exchange_id: int, **changes: Any) -> None:
        self.do(lambda: exchanges.edit(found(exchange_id), **changes))

    def delete(self, exchange_id: int) -> None:
        self.do(lambda: exchanges.delete_exchange(found(exchange_id)))

    def change(self, participant_id: int, **changes: Any) -> None:
        """Change a participant by hand."""

        def store() -> None:
            for name, value in changes.items():
                setattr(db.session.get_one(Participant, participant_id), name, value)

        self.do(store)

    def participants(self, exchange_id: int) -> list[Participant]:
        return [each for each in self.rows(Participant) if each.exchange_id == exchange_id]

    def receivers(self, exchange_id: int) -> dict[int, int]:
        """Who gives to whom."""
        found = [each for each in self.rows(Match) if each.exchange_id == exchange_id]
        return {each.giver_id: each.receiver_id for each in found}

    def register(self, exchange_id: int, name: str, email: str) -> int:
        return self.do(lambda: participants.register(found(exchange_id), name, email).id)

    def admin(self, email: str = "admin@example.com") -> int:
        return self.add(Admin(email=email, password_hash="none"))

    def webhook(self, url: str, *events: str) -> int:
        """A webhook; without events, it is sent all of them."""
        row = Webhook(
            url=url, secret=HOOK_SECRET, events=list(events or EVENTS), created_at=self.clock.now()
        )
        return self.add(row)

    # ---------------------------------------------------------------------------- answers

    def mails(self) -> list[Sent]:
        """Do what is due, and return the mails that were sent since the last call."""
        self.run_due()
        sent, self.post.sent = self.post.sent, []
        return sent

    def jobs_of(self, exchange_id: int) -> dict[int, datetime]:
        """The reminder jobs of an exchange: when each number of days is due."""
        return {
            int(job.id.removeprefix(job_id(exchange_id, 0)[:-1])): job.next_fire_at
            for job in self.scheduler.jobs(tag=f"exchange:{exchange_id}")
            if job.next_fire_at is not None
        }

    def state(self, exchange_id: int) -> str | None:
        """The state of an exchange; `None` if it does not exist."""
        stored = self.get(Exchange, exchange_id)
        return None if stored is None else stored.state

    def job(self, id: str) -> JobRecord:
        return self.scheduler.job(id)

    def runs(self, task: str, **filters: Any) -> list[RunRecord]:
        """The runs of a task or of the job of this name, newest first."""
        return self.scheduler.runs(task=task, limit=1000, **filters)

    def run(self, task: str) -> RunRecord:
        """The newest run of a task."""
        return self.runs(task)[0]


def found(exchange_id: int) -> Exchange:
    """An exchange in the current session."""
    return db.session.get_one(Exchange, exchange_id)


@contextmanager
def world_on(url: str, at: datetime | str = START, **settings: Any) -> Iterator[World]:
    """The application on a migrated database, its scheduler stepped by `World.run_due`.

    Args:
        url: the database.
        at: when the test begins.
        settings: differing from the usual ones.
    """
    with app_on(url, VirtualClock(instant(at)), **settings) as world:
        world.run_due()
        yield world


@contextmanager
def app_on(url: str, clock: Clock, **settings: Any) -> Iterator[World]:
    """An application object, of which a test may have several on one database and clock."""
    usual = {
        "database_url": url, "scheduler_enabled": False, "secret_key": SECRET,
        "allow_private_webhooks": True, "base_url": "https://klaus.example.com",
    }  # fmt: skip
    app = create_app(Settings(**{**usual, **settings}), clock)
    world = World(app, clock)
    try:
        yield world
    finally:
        world.scheduler.stop(grace=0)
        with app.app_context():
            db.engine.dispose()
