"""Endpoints: a method, a path, the required role, and the handler function.

The parameters of the handler define the input: ``query`` and ``body`` are pydantic models, and
every other parameter is a part of the path. An OpenAPI document can be generated from the same
definitions.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from duly.scheduler import Scheduler
from duly.web import csrf
from duly.web.access import Guard, Principal, Role
from duly.web.paths import from_segment
from duly.web.request_data import read_form, read_json, read_query, validate

Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)
BodyKind = Literal["json", "form"]
ANYBODY = Principal("anybody")
"""The sender of a request that needs no role."""

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(slots=True)
class RequestContext:
    """The request that a handler responds to, and what it needs to do so.

    Attributes:
        request: the request, which has been authorized.
        scheduler: the scheduler that the web application shows.
        principal: the sender of the request.
        headers: additional headers for the response.
    """

    request: Request
    scheduler: Scheduler
    principal: Principal
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def actor(self) -> str:
        """The name to record in the audit trail."""
        return self.principal.name

    @property
    def base(self) -> str:
        """The path under which this application is mounted, without a trailing slash."""
        return str(self.request.scope.get("root_path") or "")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of the web application.

    Attributes:
        method: the HTTP method.
        path: the path under the mount, with parameters as in ``/jobs/{job_id}``.
        role: the role that a sender needs; ``None``: anybody may send it.
        handler: the coroutine function that responds.
        status: the HTTP status of a successful response.
        body_kind: whether the body is JSON or a form.
    """

    method: str
    path: str
    role: Role | None
    handler: Handler
    status: int = 200
    body_kind: BodyKind = "json"

    @property
    def parameters(self) -> dict[str, Any]:
        """The annotations of the handler's parameters except the context, by name."""
        signature = inspect.signature(self.handler, eval_str=True)
        return {name: item.annotation for name, item in list(signature.parameters.items())[1:]}

    @property
    def response_type(self) -> Any:
        """The annotated return type of the handler."""
        return inspect.signature(self.handler, eval_str=True).return_annotation

    def route(self, scheduler: Scheduler, guard: Guard) -> Route:
        """Return a route that authorizes, validates, calls the handler and responds."""
        parameters = self.parameters
        query, body = parameters.pop("query", None), parameters.pop("body", None)
        names = _PATH_PARAMETER.findall(self.path)
        if set(names) != set(parameters):
            raise TypeError(f"{self.path} does not match the parameters {sorted(parameters)}")
        adapter = TypeAdapter(Any if self.response_type is Response else self.response_type)

        async def respond(request: Request) -> Response:
            principal = await guard.admit(request, self.role) if self.role else ANYBODY
            context = RequestContext(request, scheduler, principal)
            arguments: dict[str, Any] = {name: _path_value(request, name) for name in names}
            if query is not None:
                arguments["query"] = read_query(request, query)
            if self.method not in csrf.SAFE_METHODS:
                arguments |= await self._read_body(request, body)
            result = await self.handler(context, **arguments)
            if isinstance(result, Response):
                return result
            return Response(
                adapter.dump_json(result), self.status, context.headers, "application/json"
            )

        return Route(self.path, respond, methods=[self.method])

    async def _read_body(self, request: Request, body: type[BaseModel] | None) -> dict[str, Any]:
        """Read the body of an unsafe request, and refuse requests from other sites."""
        token = request.headers.get(csrf.HEADER)
        if self.body_kind == "json":
            csrf.refuse_cross_site(request, token)
            given = await read_json(request)
        else:
            given = await read_form(request)
            csrf.refuse_cross_site(request, given.pop(csrf.FIELD, token))
        return {} if body is None else {"body": validate(given, body, "body")}


def _path_value(request: Request, name: str) -> str:
    """Return a parameter of the path; 404 if it is not printable, since no id is like that."""
    value = from_segment(request.path_params[name])
    if not value.isprintable():
        raise HTTPException(404)
    return value


class Endpoints:
    """A collection of endpoints under one prefix, added by decorators.

    Args:
        prefix: the start of every path.
        body_kind: whether bodies are JSON or forms; default: JSON.
    """

    def __init__(self, prefix: str = "", *, body_kind: BodyKind = "json") -> None:
        self._prefix = prefix
        self._body_kind: BodyKind = body_kind
        self._endpoints: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints)

    def get(self, path: str, *, role: Role | None = "viewer") -> Callable[[H], H]:
        """Decorate a handler of GET requests.

        Args:
            path: the path under the prefix; ``{name}`` matches one segment.
            role: the role that a sender needs; ``None``: none, so it must not tell anything that
                only users may know. Default: ``viewer``.
        """
        return self._add("GET", path, role, 200)

    def post(self, path: str, *, role: Role = "operator", status: int = 200) -> Callable[[H], H]:
        """Decorate a handler of POST requests.

        Args:
            path: the path under the prefix; ``{name}`` matches one segment.
            role: the role that a sender needs; default: ``operator``.
            status: the HTTP status of a successful response; default: 200.
        """
        return self._add("POST", path, role, status)

    def _add(self, method: str, path: str, role: Role | None, status: int) -> Callable[[H], H]:
        def add(handler: H) -> H:
            self._endpoints.append(
                Endpoint(method, self._prefix + path, role, handler, status, self._body_kind)
            )
            return handler

        return add
