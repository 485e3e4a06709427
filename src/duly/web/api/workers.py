"""The REST API of workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from duly.model.worker import WorkerRecord
from duly.web.api.paging import PageQuery, page_of_all
from duly.web.api.schemas import Page
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="workers")


@routes.get("/workers")
async def list_workers(
    context: Context, query: Annotated[PageQuery, Query()]
) -> Page[WorkerRecord]:
    """List all workers, oldest first."""
    workers: list[WorkerRecord] = await context.scheduler.aio.workers()
    return page_of_all(workers, query, lambda worker: worker.id)


@routes.post("/workers/{worker_id}/drain")
async def drain_worker(context: Context, worker_id: Name) -> WorkerRecord:
    """Let a worker finish what it executes, and take no more runs until its process stops."""
    worker: WorkerRecord = await context.scheduler.aio.drain_worker(worker_id, actor=context.actor)
    return worker
