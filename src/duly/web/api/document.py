"""The description of the REST API, from which clients can be generated."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from duly.web.context import Context
from duly.web.openapi import describe_api
from duly.web.paths import API
from duly.web.routes import Routes

routes = Routes(API, tag="document")


@routes.get("/openapi.json", scope="shared", response=dict[str, Any])
async def show_document(context: Context) -> Response:
    """Return the OpenAPI document of this API."""
    app = context.request.app
    if app.openapi_schema is None:
        app.openapi_schema = await run_in_threadpool(describe_api, app.routes)
    return JSONResponse({**app.openapi_schema, "servers": [{"url": context.base or "/"}]})
