"""FastAPI: the scheduler as a dependency of endpoints.

To start and stop the scheduler, use ``FastAPI(lifespan=scheduler.lifespan)``, or
``async with scheduler.lifespan(app): ...`` inside a lifespan of your own.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from duly.errors import ConfigurationError
from duly.scheduler import Scheduler


def get_scheduler(connection: HTTPConnection) -> Scheduler:
    """Return the scheduler of the application that handles this request or WebSocket.

    Args:
        connection: supplied by FastAPI.

    Raises:
        ConfigurationError: the application has not entered the lifespan of a scheduler.
    """
    scheduler = getattr(connection.app.state, "duly", None)
    if not isinstance(scheduler, Scheduler):
        raise ConfigurationError(
            "this application has no scheduler; create it with "
            "FastAPI(lifespan=scheduler.lifespan), or enter scheduler.lifespan(app) in its own "
            "lifespan. For a mounted application, set mounted.state.duly = scheduler"
        )
    return scheduler


SchedulerDep = Annotated[Scheduler, Depends(get_scheduler)]
"""The annotation for parameters of endpoints: ``async def pay(scheduler: SchedulerDep): ...``."""
