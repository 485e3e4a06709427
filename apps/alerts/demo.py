"""The alert system with sample data, for `apps.demo`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from pydantic import SecretStr

from apps import Demo, kept_secret
from apps.alerts.app import create_app
from apps.alerts.seed import ADMIN, MEMBER, declare_figures, seed
from apps.alerts.services import Services
from apps.alerts.settings import Settings


def demo(folder: Path) -> Demo:
    """Return the application with sample data and its database in ``folder``."""
    settings = Settings(
        database_url=f"sqlite:///{folder / 'alerts.db'}",
        lease_seconds=6,
        jwt_secret=SecretStr(kept_secret(folder / "alerts.key")),
    )
    app = create_app(settings)
    services: Services = app.state.services
    declare_figures(services)

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with app.router.lifespan_context(app):
            await seed(services)
            yield

    return Demo(
        name="alerts",
        title="Alerts",
        about="Watches the figures of advertising clients, each alert at its own times.",
        app=app,
        scheduler=services.scheduler,
        running=running,
        accounts=((*MEMBER, "client user"), (*ADMIN, "admin")),
        hints=(
            "Sign in as the client user and keep the list open: within a minute “High cost per "
            "visit” and “Spend above plan” trigger, and two alerts run after the latter.",
            "Add an alert: the next ten times appear while you choose its frequency.",
            "“Orders of the day” fails, for an older version stored its task without a title. Sign "
            "in as the admin to find its dead letter under Scheduler; edit the alert as the client "
            "user and give its task a title; then requeue the dead letter.",
        ),
    )
