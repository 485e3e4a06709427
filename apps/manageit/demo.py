"""ManageIt with sample data, for `apps.demo`."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from apps import Demo, kept_secret
from apps.manageit.app import create_app
from apps.manageit.seed import ADMIN, OFFICIAL, STUDENT, seed
from apps.manageit.settings import Settings
from apps.web.flask_demo import as_asgi, running

DATABASE = "MANAGEIT_DATABASE_URL"
"""The variable that names a database on MariaDB, instead of the file in the folder."""


def demo(folder: Path) -> Demo:
    """Return the application with sample data and its database in ``folder``."""
    settings = Settings(
        database_url=os.environ.get(DATABASE) or f"sqlite:///{folder / 'manageit.db'}",
        secret_key=SecretStr(kept_secret(folder / "manageit.key")),
        scheduler_enabled=False,  # which `running` starts, before the first request
    )
    app = create_app(settings=settings)
    return Demo(
        name="manageit",
        title="ManageIt",
        about="Menus, waste and feedback of hostel messes, on plain SQL in SQLite or MariaDB.",
        app=as_asgi(app),
        scheduler=app.extensions["duly"],
        running=running(app, seed=seed),
        accounts=(STUDENT, OFFICIAL, ADMIN),
        hints=(
            "Sign in as the official and keep the page open: within a minute the alerts of the "
            "first floor and of lunch appear.",
            "Record much waste for another floor, and wait a minute for its alert.",
            "Sign in as the admin and open Scheduler: let the notice of lunch come in the next "
            "minute, and find it under Notices.",
            f"Set {DATABASE}=mysql+pymysql://… to see the same on MariaDB.",
        ),
    )
