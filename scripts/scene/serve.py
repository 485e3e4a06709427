"""Serves the dashboard of the scene, at the time of the scene."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from duly import Scheduler
from duly.clock import SystemClock
from duly.model.key import Role
from duly.web import local_key, web_app
from scripts.scene.stage import SceneClock, resources
from scripts.scene.story import NOW, QUEUES, ZONE
from scripts.scene.tasks import tasks

KEY = "key-of-the-scene"


class LiveClock(SystemClock):
    """A clock that shows the present of the scene when it is created, and moves on from there."""

    follows_database = False

    def __init__(self) -> None:
        self._ahead: timedelta = NOW - super().now()

    def now(self) -> datetime:
        """See `Clock.now`."""
        return super().now() + self._ahead

    def work(self, seconds: float) -> None:
        """Let a function take time."""
        time.sleep(seconds)


def scene_app(url: str, *, still: bool, work: bool, role: Role = "admin") -> Starlette:
    """Return the application.

    Args:
        url: the database of the scene.
        still: whether the time stands still, so that every picture is the same.
        work: whether a worker runs, so that jobs that are started here are executed.
        role: the role of the user.
    """
    clock = SceneClock(NOW, NOW) if still else LiveClock()
    scheduler = Scheduler(
        url,
        name="scene",
        clock=clock,
        timezone=ZONE,
        queues=QUEUES,
        resources=lambda: resources(clock),
    )
    scheduler.include(tasks)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if work:
            async with scheduler.lifespan():
                yield
        else:
            yield

    web = web_app(scheduler, access=local_key(key=KEY, name="ana", role=role))
    return Starlette(routes=[Mount("/duly", web)], lifespan=lifespan)


def serve(app: Starlette, port: int) -> None:
    """Serve until Ctrl-C."""
    print(f"http://127.0.0.1:{port}/duly/?key={KEY}", flush=True)
    uvicorn.run(app, port=port, log_level="warning", timeout_graceful_shutdown=1)
