"""What a handler needs of the request that it responds to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from duly.scheduler import Scheduler
from duly.web.access import Principal


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The request that a handler responds to, and what it needs to do so.

    Attributes:
        request: the request, which has been authorized.
        scheduler: the scheduler that the web application shows.
        principal: the sender of the request.
        headers: the headers of the response, to add to.
    """

    request: Request
    scheduler: Scheduler
    principal: Principal
    headers: MutableHeaders

    @property
    def actor(self) -> str:
        """The name to record in the audit trail."""
        return self.principal.name

    @property
    def base(self) -> str:
        """The path under which this application is mounted, without a trailing slash."""
        return str(self.request.scope.get("root_path") or "")


async def request_context(request: Request, response: Response) -> RequestContext:
    """Return the context of a request that a `duly.web.routes.GuardedRoute` has admitted."""
    return RequestContext(
        request, request.app.state.scheduler, request.state.principal, response.headers
    )


Context = Annotated[RequestContext, Depends(request_context)]
"""The annotation of a handler's parameter that receives its `RequestContext`."""
