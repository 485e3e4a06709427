"""ExpireEye with sample data, for `apps.demo`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from apps import Demo, kept_secret
from apps.expireeye.app import create_app
from apps.expireeye.seed import MEMBER, OPERATOR, seed
from apps.expireeye.services import Services
from apps.expireeye.settings import Settings


def demo(folder: Path) -> Demo:
    """Return the application with sample data and its database in ``folder``."""
    settings = Settings(
        database_url=f"sqlite:///{folder / 'expireeye.db'}",
        scheduler_heartbeat="fast",
        jwt_secret=kept_secret(folder / "expireeye.key"),
    )
    app = create_app(settings)
    services: Services = app.state.services

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with app.router.lifespan_context(app):
            await seed(services)
            yield

    return Demo(
        name="expireeye",
        title="ExpireEye",
        about="Watches the expiry dates of your products and notifies you live.",
        app=app,
        scheduler=services.scheduler,
        running=running,
        accounts=((*MEMBER, "member"), (*OPERATOR, "operator")),
        hints=(
            "Sign in as the member and keep the page open: within a minute the milk and the fresh "
            "pasta expire, and a notification appears.",
            "Add a product that expires 20 seconds from now, and watch it.",
            "Sign in as the operator and open Scheduler: run the check, change how often it runs, "
            "restart the demo, and see that the change is kept.",
        ),
    )
