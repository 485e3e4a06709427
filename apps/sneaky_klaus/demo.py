"""Sneaky Klaus with sample data, for `apps.demo`."""

from __future__ import annotations

from pathlib import Path

from flask_migrate import upgrade
from pydantic import SecretStr

from apps import Demo, demo_address, kept_secret
from apps.sneaky_klaus.app import create_app
from apps.sneaky_klaus.seed import ADMIN, seed
from apps.sneaky_klaus.settings import Settings
from apps.web.flask_demo import as_asgi, running

NAME = "sneaky_klaus"


def demo(folder: Path) -> Demo:
    """Return the application with sample data and its database in ``folder``."""
    mails = folder / "sneaky_klaus_mails"
    settings = Settings(
        database_url=f"sqlite:///{folder / 'sneaky_klaus.db'}",
        secret_key=SecretStr(kept_secret(folder / "sneaky_klaus.key")),
        base_url=f"{demo_address()}/{NAME}",
        mail="file",
        mail_folder=str(mails),
        scheduler_enabled=False,  # which starts below, before the first request
    )
    app = create_app(settings)
    return Demo(
        name=NAME,
        title="Sneaky Klaus",
        about="Gift exchanges with secret matches; reminds people by mail, in the exchange's zone.",
        app=as_asgi(app),
        scheduler=app.extensions["duly"],
        running=running(app, prepare=upgrade, seed=seed),
        mails=mails,
        accounts=((*ADMIN, "admin"),),
        hints=(
            "Open the mails and wait: within a minute everybody who takes part in the “Office "
            "party” is reminded of it.",
            "Sign in as the admin and open “Family dinner”: register two more people with its "
            "link, sign in as one of them by the link in their mail, close the registration and "
            "match: the mails say who gives to whom.",
            "Change the reminders of an exchange and look at its jobs in Duly: each has one job "
            "for each reminder, and they change together with it.",
        ),
    )
