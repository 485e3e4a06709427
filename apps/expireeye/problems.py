"""Error responses of the API and the pages: ``{"error": {"code", "message", "field"}}``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException


class Problem(Exception):
    """A request that cannot be fulfilled.

    Args:
        status: the HTTP status.
        code: a code for programs.
        message: a sentence for people.
        field: the input that is not valid, if there is one.
        headers: further response headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers

    def response(self) -> JSONResponse:
        """Return the error as a JSON response."""
        body = {"code": self.code, "message": self.message}
        if self.field:
            body["field"] = self.field
        return JSONResponse({"error": body}, self.status, headers=self.headers)


def not_found(what: str) -> Problem:
    """Return the error for something that does not exist or belongs to another user."""
    return Problem(404, "not_found", f"This {what} does not exist.")


def too_large(message: str) -> JSONResponse:
    """Return the response to a request whose body is too large."""
    return Problem(413, "too_large", message).response()


_CODES = {403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
Respond = Callable[[Request, Problem], Awaitable[Response]]


def install(app: FastAPI, page: Respond) -> None:
    """Register the error handlers; browsers receive ``page`` instead of JSON."""

    async def respond(request: Request, problem: Problem) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return await page(request, problem)
        return problem.response()

    @app.exception_handler(Problem)
    async def refused(request: Request, error: Problem) -> Response:
        return await respond(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        fault: dict[str, Any] = error.errors()[0]
        names = [part for part in fault["loc"][1:] if isinstance(part, str)]
        field = names[-1] if names else None
        return await respond(request, Problem(422, "invalid", str(fault["msg"]), field))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return Problem(500, "internal_error", "An unexpected error occurred.").response()

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "refused")
        headers = dict(error.headers) if error.headers else None
        return await respond(
            request, Problem(error.status_code, code, str(error.detail), None, headers)
        )
