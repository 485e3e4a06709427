"""The REST API of tasks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from duly.web.api.paging import PageQuery, page_of_all
from duly.web.api.schemas import Page, Task
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="tasks")


@routes.get("/tasks", scope="shared")
async def list_tasks(context: Context, query: Annotated[PageQuery, Query()]) -> Page[Task]:
    """List the tasks of this process, with the JSON Schema of their arguments."""
    tasks = [
        Task(
            name=task.name,
            doc=task.doc,
            is_async=task.is_async,
            arguments=task.signature.schema(),
        )
        for task in context.scheduler.registry.tasks()
    ]
    return page_of_all(tasks, query, lambda task: task.name)
