"""What a handler needs of the request that it responds to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from duly.model.actor import Actor
from duly.model.job import JobRecord
from duly.operations.filters import JobFilters, RunFilters
from duly.operations.jobs.find import MissedRange
from duly.scheduler import Scheduler
from duly.web.access import Principal
from duly.web.request_ids import STATE

Filters = TypeVar("Filters", JobFilters, RunFilters)
REASON_HEADER = "X-Duly-Reason"


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
    def owners(self) -> Sequence[str] | None:
        """The owners whose jobs and runs the response may contain; ``None``: all."""
        return self.principal.owners

    @property
    def actor(self) -> Actor:
        """Who makes the change, why (the header ``X-Duly-Reason``) and in which request."""
        return self.because(None)

    def because(self, reason: str | None) -> Actor:
        """Return who makes the change, for a reason that takes precedence over the header's."""
        header = self.request.headers.get(REASON_HEADER)
        why = reason or (None if header is None else _as_utf8(header))
        return Actor(self.principal.name, why, getattr(self.request.state, STATE, None))

    def own(self, filters: Filters) -> Filters:
        """Return filters that also leave out what belongs to other owners."""
        restricted: Any = {**filters, "owners": self.owners}
        return cast(Filters, restricted)

    def own_ranges(self, job: JobRecord, ranges: Sequence[MissedRange]) -> list[MissedRange]:
        """Leave out the missed times of an earlier job of the same id, if it may be another's."""
        return [r for r in ranges if self.owners is None or r.decided_at >= job.created_at]

    @property
    def base(self) -> str:
        """The path under which this application is mounted, without a trailing slash."""
        return str(self.request.scope.get("root_path") or "")


def _as_utf8(header: str) -> str:
    """Return a header that was sent as UTF-8, which Starlette decodes as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header


async def request_context(request: Request, response: Response) -> RequestContext:
    """Return the context of a request that a `duly.web.routes.GuardedRoute` has admitted."""
    return RequestContext(
        request, request.app.state.scheduler, request.state.principal, response.headers
    )


Context = Annotated[RequestContext, Depends(request_context)]
"""The annotation of a handler's parameter that receives its `RequestContext`."""
