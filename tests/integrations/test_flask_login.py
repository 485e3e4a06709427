"""Users of Flask-Login reach the dashboard."""

from __future__ import annotations

from typing import Any

import flask_login
from flask import Flask

from duly import Scheduler, every
from duly.integrations.flask import init_app
from duly.integrations.flask_login import flask_login_access
from duly.web import Principal


class User(flask_login.UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


def to_principal(user: Any) -> Principal | None:
    return None if user.id == "guest" else Principal(user.id, "admin", [user.id])


def test_who_is_signed_in_with_flask_login_is_signed_in_here(prepared_sqlite_url: str) -> None:
    """The user that Flask-Login has loaded becomes a principal, with owners; nobody else does."""
    app, scheduler = Flask(__name__), Scheduler(prepared_sqlite_url)
    app.secret_key = "of this test"
    manager = flask_login.LoginManager(app)
    manager.user_loader(User)

    @app.get("/sign-in/<name>")
    def sign_in(name: str) -> str:
        flask_login.login_user(User(name))
        return name

    @app.get("/sign-out")
    def sign_out() -> str:
        flask_login.logout_user()
        return ""

    scheduler.task(name="work")(lambda: None)
    for owner in ("acme", "bolt"):
        scheduler.add("work", every(hours=1), id=f"job-{owner}", owner=owner)
    access = flask_login_access(to_principal)
    init_app(app, scheduler, web="/duly", access=access, start=False)
    client = app.test_client()
    assert client.get("/duly/api/v1/jobs").status_code == 401
    client.get("/sign-in/acme")
    items = client.get("/duly/api/v1/jobs").get_json()["items"]
    assert [job["id"] for job in items] == ["job-acme"]
    client.get("/sign-out")
    assert client.get("/duly/api/v1/jobs").status_code == 401
    client.get("/sign-in/guest")
    assert client.get("/duly/api/v1/jobs").status_code == 401
    scheduler.stop()
