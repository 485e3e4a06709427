"""Access by a dependency of a FastAPI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from duly.web.access import Principal

USER = "duly_dependency_user"


def dependency(
    get_current_user: Callable[..., Any], to_principal: Callable[[Any], Principal | None]
) -> Callable[[Request], Awaitable[Principal | None]]:
    """Return an access callable that asks a dependency of the host's FastAPI application.

    FastAPI solves it as for a route of the host: with its own dependencies, security schemes and
    ``yield``. It sees the request without its body. An ``HTTPException`` with 401 means that the
    sender is not signed in; any other one is the response.

    Args:
        get_current_user: what routes of the host write in ``Depends(…)``.
        to_principal: returns the principal of the user that it returns; ``None`` refuses the user.
    """

    async def keep(request: Request, user: Any = Depends(get_current_user)) -> None:  # noqa: B008
        setattr(request.state, USER, user)

    route = APIRoute("/", keep, methods=["GET"], response_model=None)

    async def who(request: Request) -> Principal | None:
        # Without handlers, so that errors are raised here instead of being sent.
        scope = {**request.scope, "starlette.exception_handlers": ({}, {})}
        try:
            await route.app(scope, _no_body, _send_nothing)
        except HTTPException as error:
            if error.status_code == 401:
                return None
            raise
        return to_principal(getattr(request.state, USER))

    return who


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send_nothing(_message: Message) -> None:
    """The response of the route that solves the dependency is not sent."""
