"""Doing what is due while a request lasts: for platforms that freeze idle processes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from duly.web.api.fields import Shape
from duly.web.api.paging import Wanted
from duly.web.api.prefix import PREFIX
from duly.web.operation import Call, Operations

operations = Operations(PREFIX)
MOST_WAIT_S = 3600.0


class TickWanted(Wanted):
    """How long the answer may take.

    Attributes:
        wait: seconds.
    """

    wait: Annotated[float, Field(ge=0, le=MOST_WAIT_S, allow_inf_nan=False)] = 20


class Step(Shape):
    """What became of runs meanwhile; whether nothing is left to do."""

    complete: bool
    runs: dict[str, int]


@operations.post("/tick")
async def tick(call: Call, query: TickWanted) -> Step:
    """Fire and execute what is due, and wait for it."""
    return Step.model_validate(await call.scheduler.aio.run_due(wait=query.wait))
