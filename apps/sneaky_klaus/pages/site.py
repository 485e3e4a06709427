"""The site: all pages and endpoints, and the sessions of their readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import (
    Flask,
    before_render_template,
    has_request_context,
    redirect,
    render_template,
    url_for,
)
from flask_login import current_user

from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.pages.accounts import accounts, actor_of, find, sign_out
from apps.sneaky_klaus.pages.exchanges import exchanges
from apps.sneaky_klaus.pages.health import health
from apps.sneaky_klaus.pages.jobs import jobs
from apps.sneaky_klaus.pages.visitors import my_exchanges, visitors
from apps.sneaky_klaus.pages.webhooks import webhooks
from apps.sneaky_klaus.sessions import BrowserSessions
from apps.web.flask_pages import init_pages
from apps.web.flask_sign_in import init_login
from duly.integrations.flask_login import flask_login_access
from duly.web import Principal

dashboard_access = flask_login_access(lambda user: Principal(actor_of(user), "admin"))
"""Who may use Duly's dashboard: the admins."""


def init_site(app: Flask) -> None:
    """Give the application its pages; call it before Duly's ``init_app``."""
    app.config["SESSION_COOKIE_NAME"] = "klaus_session"
    app.session_interface = BrowserSessions()
    init_pages(app, Path(app.root_path))
    init_login(app, find, "accounts.login")
    for blueprint in (accounts, exchanges, jobs, webhooks, visitors, health):
        app.register_blueprint(blueprint)
    before_render_template.connect(_end_transaction, app)
    app.add_url_rule("/", "home", _home)
    app.add_url_rule("/admin/logout", "sign-out", sign_out, methods=["POST"])


def _home() -> Any:
    """Show admins their exchanges, and everybody else where to go."""
    if current_user.is_authenticated:
        return redirect(url_for("exchanges.index"), 303)
    return render_template("home.html", mine=my_exchanges())


def _end_transaction(_app: Flask, **_context: Any) -> None:
    """End the transaction in which the contents of a page were read, before it is rendered.

    What a page shows is loaded before: nothing is looked up while it is rendered.
    """
    if has_request_context():
        db.session.close()
