"""The application that the browser tests look at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from flask import Flask
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from duly import JobGroup, Retry, Run, Scheduler, cron, every
from duly.integrations.flask import init_app
from duly.web import local_key, web_app
from tests.support.serving import serve_asgi, serve_wsgi

KEY = "key-of-the-browser-tests"
MOUNT = "/duly"
LONG = "a_very_long_name_" * 8
LOOK_S = 0.02

Host = Literal["asgi", "flask"]


@dataclass
class Door:
    """What the tasks of a site wait for.

    Attributes:
        knocked: whether someone has knocked, which ``gated`` logs.
        outcome: how tasks end at the door; ``None``: it is closed.
    """

    knocked: bool = False
    outcome: Literal["pass", "fail"] | None = None

    def admit(self, run: Run) -> str:
        """Wait until the door opens, or the run is cancelled."""
        run.progress(1, 4, "at the door")
        run.log.info("waiting <b>here</b>")
        never = threading.Event()
        heard = False
        while not run.cancelled:
            if self.knocked and not heard:
                heard = True
                run.progress(2, 4, "somebody knocks")
                run.log.warning("a knock")
            if self.outcome == "fail":
                raise ValueError("<script>alert('from an error')</script>")
            if self.outcome == "pass":
                return "came through"
            never.wait(LOOK_S)
        return "turned away"


@dataclass
class Site:
    """A site with Duly's dashboard, whose scheduler runs.

    Attributes:
        scheduler: its scheduler.
        door: what its tasks wait for.
        url: the address of the overview, without a trailing slash.
    """

    scheduler: Scheduler
    door: Door = field(default_factory=Door)
    url: str = ""

    @property
    def api(self) -> str:
        """The address of the REST API."""
        return f"{self.url}/api/v1"


class Size(Enum):
    """How large it is."""

    small = "small"
    large = "large"


class Address(BaseModel):
    """Where it goes."""

    street: str
    zip: int = 0


@contextmanager
def open_site(database: str, host: Host) -> Iterator[Site]:
    """Serve the dashboard of a running scheduler for the body of a ``with`` statement.

    Args:
        database: the URL of its database.
        host: the framework that serves it. Pages are streamed to by ASGI; in Flask, they poll.
    """
    scheduler = Scheduler(database, timezone="Europe/Madrid", heartbeat="fast", grace=0)
    site = Site(scheduler)
    scheduler.include(tasks_of(site.door))
    with (serve_by_asgi if host == "asgi" else serve_by_flask)(scheduler) as address:
        site.url = address + MOUNT
        yield site


@contextmanager
def serve_by_asgi(scheduler: Scheduler) -> Iterator[str]:
    """Run a scheduler in Starlette; yield the address."""
    routes = [Mount(MOUNT, web_app(scheduler, access=local_key(key=KEY)))]
    with serve_asgi(Starlette(routes=routes, lifespan=scheduler.lifespan)) as address:
        yield address


@contextmanager
def serve_by_flask(scheduler: Scheduler) -> Iterator[str]:
    """Run a scheduler in Flask; yield the address."""
    app = Flask("demo")
    init_app(app, scheduler, web=MOUNT, access=local_key(key=KEY), start=False)
    # Not in this thread, in which Playwright runs an event loop that functions must not use.
    start = threading.Thread(target=scheduler.start)
    start.start()
    start.join()
    try:
        with serve_wsgi(app) as address:
            yield address
    finally:
        scheduler.stop()


def tasks_of(door: Door) -> JobGroup:
    """Return jobs and tasks that wait at a door."""
    jobs = JobGroup()

    @jobs.job(cron("0 0 1 1 *"), id="gated", args={"api_token": "geheim"}, tags=["slow"])
    def gated(api_token: str, run: Run) -> str:
        """Wait until the test opens the door, and end as the door says."""
        return door.admit(run)

    @jobs.job(every(hours=1), id="seldom <script>alert('from an id')</script>", tags=["odd"])
    def seldom() -> None:
        """Nothing much."""

    @jobs.job(cron("30 2 L * *", tz="America/New_York"), id=LONG, tags=[LONG])
    def long_named() -> None:
        """Has a name that no column is wide enough for."""

    @jobs.task()
    def ship(address: Address, size: Size = Size.small, back_to: Address | None = None) -> None:
        """Ship a parcel."""

    @jobs.task(retry=Retry(attempts=1))
    def knock(number: int) -> None:
        """Fail while the door is closed."""
        if door.outcome is None:
            raise ConnectionError(f"nobody opens to number {number}; token=geheim")

    return jobs
