"""The application that the browser tests look at."""

from __future__ import annotations

import os
import threading
from enum import Enum
from pathlib import Path

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from duly import Retry, Run, Scheduler, cron, every
from duly.web import local_key, web_app

KEY = "key-of-the-browser-tests"
DOOR = Path(os.environ.get("DEMO_DOOR", "door"))
LONG = "a_very_long_name_" * 8

scheduler = Scheduler(
    os.environ.get("DEMO_DATABASE", "sqlite:///demo.db"), timezone="Europe/Madrid", heartbeat="fast"
)


@scheduler.job(cron("0 0 1 1 *"), id="gated", args={"api_token": "geheim"}, tags=["slow"])
def gated(api_token: str, run: Run) -> str:
    """Wait until the test opens the door, and end as the door says."""
    run.progress(1, 4, "at the door")
    run.log.info("waiting <b>here</b>")
    never = threading.Event()
    knocked = False
    while not run.cancelled:
        if not knocked and DOOR.with_name("knock").exists():
            knocked = True
            run.progress(2, 4, "somebody knocks")
            run.log.warning("a knock")
        if DOOR.exists():
            if DOOR.read_text() == "fail":
                raise ValueError("<script>alert('from an error')</script>")
            return "came through"
        never.wait(0.02)
    return "turned away"


@scheduler.job(every(hours=1), id="seldom <script>alert('from an id')</script>", tags=["odd"])
def seldom() -> None:
    """Nothing much."""


@scheduler.job(cron("30 2 L * *", tz="America/New_York"), id=LONG, tags=[LONG])
def long_named() -> None:
    """Has a name that no column is wide enough for."""


class Size(Enum):
    small = "small"
    large = "large"


class Address(BaseModel):
    """Where it goes."""

    street: str
    zip: int = 0


@scheduler.task()
def ship(address: Address, size: Size = Size.small, back_to: Address | None = None) -> None:
    """Ship a parcel."""


@scheduler.task(retry=Retry(attempts=1))
def knock(number: int) -> None:
    """Fail while the door is closed."""
    if not DOOR.exists():
        raise ConnectionError(f"nobody opens to number {number}; token=geheim")


app = Starlette(
    lifespan=scheduler.lifespan,
    routes=[Mount("/duly", web_app(scheduler, access=local_key(key=KEY)))],
)
