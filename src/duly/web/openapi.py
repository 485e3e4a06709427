"""The OpenAPI document of the REST API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.routing import BaseRoute

from duly.model.version import VERSION
from duly.web.problems import Problem
from duly.web.routes import ApiRoute

DESCRIPTION = """\
Shows and controls a scheduler: its jobs, their runs, and what happened to them.

Lists come in pages: pass the member `next` of a page as the parameter `after` to read the next one.
Times are in UTC, durations in seconds. Errors are problem details (RFC 9457). Unknown parameters
and members are refused.
"""
SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key or a token of the host."},
    "session": {
        "type": "apiKey",
        "in": "header",
        "name": "Cookie",
        "description": (
            "The session of the host. Unsafe requests also need the header `X-CSRF-Token` with "
            "the value of the cookie `duly_csrf`."
        ),
    },
}


def describe_api(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Return the OpenAPI document of those of the routes that belong to the REST API."""
    own = [route for route in routes if isinstance(route, ApiRoute)]
    document: dict[str, Any] = get_openapi(
        title="Duly",
        version=VERSION,
        description=DESCRIPTION,
        routes=[route.api_route for route in own],
    )
    schema = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    schemas = document["components"].setdefault("schemas", {})
    schemas |= schema.pop("$defs", {}) | {"Problem": schema}
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for route in own:
        operation = document["paths"][route.path_format][route.method.lower()]
        operation["security"] = [{name: []} for name in SECURITY_SCHEMES] if route.role else []
    return document
