"""Error responses: RFC 9457 problem details for programs, a page for people."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from duly.errors import (
    Conflict,
    DulyError,
    LifecycleError,
    NotFound,
    StoreError,
    TooManyWaiting,
)
from duly.model.redaction import redact_text
from duly.web.headers import HEADERS

MEDIA_TYPE = "application/problem+json"
STATUS: tuple[tuple[type[DulyError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (LifecycleError, 409),
    (StoreError, 503),
    (TooManyWaiting, 503),
    (DulyError, 422),
)
"""The HTTP status of each error class; the first match applies."""

RETRY_AFTER_SECONDS = "5"
ShowProblem = Callable[[Request, "Problem"], Response]


@dataclass(frozen=True, slots=True)
class Problem:
    """The problem details of an error, as defined by RFC 9457.

    Attributes:
        type: a URN for this kind of error; ``about:blank`` if the status describes it fully.
        title: a short description of this kind of error.
        status: the HTTP status.
        detail: what is wrong in this case.
    """

    type: str
    title: str
    status: int
    detail: str

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """Return the problem details of an error."""
        if isinstance(error, DulyError):
            status = next(code for kind, code in STATUS if isinstance(error, kind))
            title = (inspect.getdoc(type(error)) or "").partition("\n")[0].rstrip(".")
            name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()
            return cls(f"urn:duly:problem:{name}", title, status, redact_text(str(error)) or "")
        if isinstance(error, HTTPException):
            return cls.of_status(error.status_code, error.detail)
        return cls.of_status(
            500, "An unexpected error occurred; the server has logged its details."
        )

    @classmethod
    def of_status(cls, status: int, detail: str) -> Problem:
        """Return the problem details of an error that its HTTP status describes fully."""
        phrase = HTTPStatus(status).phrase
        return cls("about:blank", phrase, status, "" if detail == phrase else detail)

    def as_json(self) -> Response:
        """Return the problem details as a JSON response."""
        members = {name: value for name, value in asdict(self).items() if value != ""}
        return JSONResponse(members, self.status, media_type=MEDIA_TYPE)


def error_handler(show_page: ShowProblem, api: str) -> Callable[[Request, Exception], Any]:
    """Return an exception handler that responds with JSON under ``api``, with a page elsewhere."""

    async def respond(request: Request, error: Exception) -> Response:
        problem = Problem.of(error)
        path = request.scope["path"].removeprefix(request.scope.get("root_path") or "")
        response = problem.as_json() if path.startswith(api) else show_page(request, problem)
        # Starlette handles unexpected errors outside the middleware that adds these headers.
        response.headers.update(HEADERS)
        response.headers.update(getattr(error, "headers", None) or {})
        if problem.status == 503:
            response.headers["Retry-After"] = RETRY_AFTER_SECONDS
        return response

    return respond
