"""FastAPI: the scheduler as a dependency.

Its life needs no adapter: ``FastAPI(lifespan=scheduler.lifespan)``, or inside a lifespan of your
own ``async with scheduler.lifespan(app): ...``.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from duly.errors import ConfigurationError
from duly.scheduler import Scheduler


def get_scheduler(connection: HTTPConnection) -> Scheduler:
    """The scheduler of the application that serves this request or WebSocket.

    Args:
        connection: given by FastAPI.

    Raises:
        ConfigurationError: the application did not enter the lifespan of a scheduler.
    """
    held = getattr(connection.app.state, "duly", None)
    if not isinstance(held, Scheduler):
        raise ConfigurationError(
            "this application has no scheduler; make it with FastAPI(lifespan=scheduler.lifespan), "
            "or enter scheduler.lifespan(app) in its own lifespan. A mounted application is told: "
            "mounted.state.duly = scheduler"
        )
    return held


SchedulerDep = Annotated[Scheduler, Depends(get_scheduler)]
"""Annotate a parameter of an endpoint with it: ``async def pay(scheduler: SchedulerDep): ...``."""
