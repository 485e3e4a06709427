"""Errors as answers: RFC 9457 problems for programs, a page for people."""

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

from duly.errors import Conflict, DulyError, LifecycleError, NotFound, StoreError
from duly.web.headers import HEADERS
from duly.web.redaction import redact_text

MEDIA_TYPE = "application/problem+json"
STATUS: tuple[tuple[type[DulyError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (LifecycleError, 409),
    (StoreError, 503),
    (DulyError, 422),
)
"""The status of each error: the first line that fits."""

SECONDS_TO_RETRY = "5"
ShowProblem = Callable[[Request, "Problem"], Response]


@dataclass(frozen=True, slots=True)
class Problem:
    """What RFC 9457 says of an error.

    Attributes:
        type: a name for this kind of error; ``about:blank`` where the status says it all.
        title: the kind of error in words.
        detail: what is wrong this time.
    """

    type: str
    title: str
    status: int
    detail: str

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """The problem that an error is."""
        if isinstance(error, DulyError):
            status = next(code for kind, code in STATUS if isinstance(error, kind))
            title = (inspect.getdoc(type(error)) or "").partition("\n")[0].rstrip(".")
            name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()
            return cls(f"urn:duly:problem:{name}", title, status, redact_text(str(error)) or "")
        if isinstance(error, HTTPException):
            return cls.of_status(error.status_code, error.detail)
        return cls.of_status(500, "The server has logged what went wrong.")

    @classmethod
    def of_status(cls, status: int, detail: str) -> Problem:
        """A problem that its HTTP status describes."""
        phrase = HTTPStatus(status).phrase
        return cls("about:blank", phrase, status, "" if detail == phrase else detail)

    def as_json(self) -> Response:
        """The problem for a program."""
        held = {name: value for name, value in asdict(self).items() if value != ""}
        return JSONResponse(held, self.status, media_type=MEDIA_TYPE)


def handler(show_page: ShowProblem, api: str) -> Callable[[Request, Exception], Any]:
    """An exception handler that answers a program under the path ``api``, a person elsewhere."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = Problem.of(error)
        path = request.scope["path"].removeprefix(request.scope.get("root_path") or "")
        shown = problem.as_json() if path.startswith(api) else show_page(request, problem)
        # An unexpected error is answered outside the middleware that adds these.
        shown.headers.update(HEADERS)
        shown.headers.update(getattr(error, "headers", None) or {})
        if problem.status == 503:
            shown.headers["Retry-After"] = SECONDS_TO_RETRY
        return shown

    return answer
