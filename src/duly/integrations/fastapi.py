"""FastAPI: the scheduler starts and stops with the application, and endpoints receive it.

``init_app(app, scheduler)`` connects them. ``FastAPI(lifespan=scheduler.lifespan)`` only starts and
stops the scheduler.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from duly.integrations.starlette import get_scheduler, init_app
from duly.scheduler import Scheduler

SchedulerDep = Annotated[Scheduler, Depends(get_scheduler)]
"""The annotation for parameters of endpoints: ``async def pay(scheduler: SchedulerDep): ...``."""

__all__ = ["SchedulerDep", "get_scheduler", "init_app"]
