"""The site: all pages and endpoints, and the sessions of their readers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from flask import Flask

from apps.manageit.pages import formatting
from apps.manageit.pages.accounts import accounts, find, home, sign_out
from apps.manageit.pages.admin import admin, reports
from apps.manageit.pages.health import health
from apps.manageit.pages.mess import mess, mess_api
from apps.manageit.pages.scheduler import scheduler, scheduler_api
from apps.manageit.pages.student import student, student_api
from apps.manageit.services import get_fixed_time, services
from apps.web.flask_cookies import SignedSessions
from apps.web.flask_pages import init_pages
from apps.web.flask_sign_in import init_login

BLUEPRINTS = (
    accounts, admin, health, mess, mess_api, reports, scheduler, scheduler_api, student,
    student_api,
)  # fmt: skip


def init_site(app: Flask) -> None:
    """Give the application its pages; call it before Duly's ``init_app``."""
    app.config["SESSION_COOKIE_NAME"] = "manageit_session"
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=12)
    app.session_interface = SignedSessions()
    init_pages(app, Path(app.root_path))
    init_login(app, find, "accounts.login")
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.jinja_env.globals.update(formatting=formatting)
    app.context_processor(
        lambda: {"now": get_fixed_time(), "zone": services().settings.scheduler_timezone}
    )
    app.add_url_rule("/", "home", home)
    app.add_url_rule("/logout", "sign-out", sign_out, methods=["POST"])
