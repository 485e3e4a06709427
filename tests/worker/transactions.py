"""What tests of transactional runs share: a table of effects, and tasks that fill it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from duly.model.run import RunRecord
from tests.worker.conftest import World

ADD = text("insert into effect (n) values (:n)")


class Ledger:
    """A table in which every effect of a function leaves a row, and the scheduler beside it."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.scheduler = world.scheduler(**options)
        self.scheduler.prepare()
        with self.scheduler.store.engine.begin() as conn:
            conn.execute(text("create table effect (n integer not null)"))

    def effects(self) -> list[int]:
        """The effects that are committed."""
        engine = self.scheduler.store.engine.execution_options(duly_read_only=True)
        with engine.connect() as conn:
            return sorted(conn.execute(text("select n from effect")).scalars())

    def run(self, name: str, **arguments: Any) -> RunRecord:
        """Enqueue a task, take one step, and return what became of the run."""
        run_id = self.scheduler.enqueue(name, args=arguments)
        self.scheduler.tick()
        return self.scheduler.run(run_id)

    def task(self, body: Callable[[Session], Any], **options: Any) -> None:
        """A transactional task named ``work``: an effect, then ``body`` with the session."""

        @self.scheduler.task(name="work", **{"transactional": True, **options})
        def work(session: Session) -> Any:
            session.execute(ADD, {"n": 1})
            return body(session)


def driver_of(conn: Connection) -> Any:
    """The driver's own connection."""
    return conn.connection.driver_connection
