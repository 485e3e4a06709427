"""Error responses: RFC 9457 problem details for programs, a page for people."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from duly.errors import (
    Conflict,
    DulyError,
    LifecycleError,
    NotFound,
    StoreError,
    TooManyWaiting,
)
from duly.model.redaction import redact_text
from duly.web import request_ids
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
ShowProblem = Callable[[Request, "Problem", Exception], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ValueProblem:
    """What is wrong with one value of a request.

    Attributes:
        source: the part of the request: ``body``, ``query``, ``path`` or ``header``.
        pointer: the value in it, as a JSON pointer such as ``/options/retry``; empty for all of it.
        detail: what is wrong with it.
    """

    source: str
    pointer: str
    detail: str

    @classmethod
    def of(cls, fault: Mapping[str, Any]) -> ValueProblem:
        """Return a fault that pydantic has found."""
        source, *path = fault["loc"]
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
        return cls(str(source), pointer, str(fault["msg"]).removeprefix("Value error, "))

    def __str__(self) -> str:
        where = self.pointer.removeprefix("/").replace("/", ".")
        return f"{where}: {self.detail}" if where else self.detail


@dataclass(frozen=True, slots=True)
class Problem:
    """The problem details of an error, as defined by RFC 9457.

    Attributes:
        type: a URN for this kind of error; ``about:blank`` if the status describes it fully.
        title: a short description of this kind of error.
        status: the HTTP status.
        detail: what is wrong in this case.
        errors: what is wrong with each value of the request, if several may be wrong.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[ValueProblem, ...] = ()

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
        if isinstance(error, RequestValidationError):
            return cls._of_values([ValueProblem.of(fault) for fault in error.errors()])
        return cls.of_status(
            500, "An unexpected error occurred; the server has logged its details."
        )

    @classmethod
    def of_status(cls, status: int, detail: str) -> Problem:
        """Return the problem details of an error that its HTTP status describes fully."""
        phrase = HTTPStatus(status).phrase
        return cls("about:blank", phrase, status, "" if detail == phrase else detail)

    @classmethod
    def _of_values(cls, errors: list[ValueProblem]) -> Problem:
        """Return the problem of values that are not valid; 404 for one in the path."""
        if any(error.source == "path" for error in errors):
            return cls.of_status(404, "")
        sources = " and the ".join(sorted({error.source for error in errors}))
        detail = redact_text(f"In the {sources}: {'; '.join(map(str, errors))}.") or ""
        return cls("about:blank", HTTPStatus(422).phrase, 422, detail, tuple(errors))

    def as_json(self) -> Response:
        """Return the problem details as a JSON response."""
        members = {name: value for name, value in asdict(self).items() if value not in ("", ())}
        return JSONResponse(members, self.status, media_type=MEDIA_TYPE)


def error_handler(show_page: ShowProblem, api: str) -> Callable[[Request, Exception], Any]:
    """Return an exception handler that responds with JSON under ``api``, with a page elsewhere.

    Scripts of pages ask for JSON.
    """

    async def respond(request: Request, error: Exception) -> Response:
        problem = Problem.of(error)
        path = request.scope["path"].removeprefix(request.scope.get("root_path") or "")
        as_json = path.startswith(api) or request.headers.get("accept") == "application/json"
        response = problem.as_json() if as_json else await show_page(request, problem, error)
        if problem.status == 405:
            response.headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
        # Starlette handles unexpected errors outside the middleware that adds these headers.
        response.headers.update(HEADERS)
        response.headers.update(_headers(error))
        response.headers[request_ids.HEADER] = getattr(request.state, request_ids.STATE, "")
        if problem.status == 503:
            response.headers["Retry-After"] = RETRY_AFTER_SECONDS
        return response

    return respond


def _headers(error: Exception) -> dict[str, str]:
    """Return the headers that an error asks for; the router knows only one route's methods."""
    headers = dict(getattr(error, "headers", None) or {})
    headers.pop("Allow", None)
    return headers


def _allowed_methods(request: Request) -> set[str]:
    """Return the methods of all routes to the path of a request."""
    methods: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return methods | ({"HEAD"} if "GET" in methods else set())


def describe_problems(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Return the description of responses with a problem, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted(statuses)
    }
