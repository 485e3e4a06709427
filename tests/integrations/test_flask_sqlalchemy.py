"""Flask-SQLAlchemy: a transactional run works on ``db.session``, inside the application context."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from duly import Scheduler, VirtualClock
from duly.integrations.flask import init_app

db = SQLAlchemy()


class Effect(db.Model):  # type: ignore[name-defined, misc]
    n = db.Column(db.Integer, primary_key=True)


@pytest.fixture
def app(prepared_database_url: str) -> Any:
    """An application with its tables in Duly's database, and a scheduler."""
    made = Flask("shop")
    made.config["SQLALCHEMY_DATABASE_URI"] = prepared_database_url
    db.init_app(made)
    scheduler = Scheduler(prepared_database_url, clock=VirtualClock())
    init_app(made, scheduler, start=False)
    with made.app_context():
        db.create_all()
        yield made
        db.session.remove()
        db.engine.dispose()
    scheduler.stop(grace=0)


def test_changes_in_db_session_are_committed_with_the_run(app: Flask) -> None:
    """The session parameter and ``db.session`` are one session; an error rolls everything back."""
    scheduler: Scheduler = app.extensions["duly"]

    @scheduler.task(transactional=db.session)
    def work(n: int, fail: bool, session: Session) -> str:
        db.session.add(Effect(n=n))
        session.add(Effect(n=n + 1))
        assert db.session() is session
        if fail:
            raise ValueError("no")
        return str(current_app.name)

    @scheduler.task(transactional=db.session)
    def without_parameter() -> None:
        db.session.add(Effect(n=10))

    @scheduler.task(transactional=db.session)
    def commits() -> None:
        db.session.add(Effect(n=20))
        db.session.commit()

    calls = [
        scheduler.enqueue(work, n=1, fail=False),
        scheduler.enqueue(work, n=5, fail=True),
        scheduler.enqueue(without_parameter),
        scheduler.enqueue(commits),
    ]
    scheduler.tick()
    runs = [scheduler.run(run_id) for run_id in calls]
    assert [run.state for run in runs] == ["succeeded", "failed", "succeeded", "failed"]
    assert [run.error_type for run in runs] == [None, "ValueError", None, "TransactionError"]
    assert runs[0].result == "shop"
    assert sorted(db.session.scalars(db.select(Effect.n))) == [1, 2, 10]
