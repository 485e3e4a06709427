"""The REST API of metrics, in the text format of Prometheus."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from duly.scheduler import Scheduler
from duly.web.api.paging import QueryModel
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="metrics")


class MetricsQuery(QueryModel):
    """Which metrics to return.

    Attributes:
        part: ``process``: what this process measures; ``database``: what every process would tell
            alike, and one should be asked for; default: both.
    """

    part: Literal["all", "process", "database"] = "all"


@routes.get("/metrics", fails=(501,), media=PlainTextResponse)
async def show_metrics(context: Context, query: Annotated[MetricsQuery, Query()]) -> Response:
    """Return the metrics of this process and of the database, for Prometheus.

    The first request starts to measure this process.
    """
    text, media_type = await run_in_threadpool(_expose, context.scheduler, query.part)
    return Response(text, headers={"Content-Type": media_type})


def _expose(scheduler: Scheduler, part: str) -> tuple[bytes, str]:
    try:
        from duly.observe.metrics import Metrics  # noqa: PLC0415 - prometheus-client is an extra
    except ImportError as error:
        raise HTTPException(501, f"This server has no metrics: {error}.") from error
    return Metrics.of(scheduler).expose(part)
