"""One endpoint: a method, a path, the role that it needs, and the function that answers.

What it takes is read from the function's parameters: ``query`` and ``body`` are pydantic models,
every other one is a part of the path. An OpenAPI document can be made from the same facts.
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
from duly.web.request_data import check, read_form, read_json, read_query

Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)
BodyKind = Literal["json", "form"]
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(slots=True)
class RequestContext:
    """One admitted request, as a handler sees it.

    Attributes:
        principal: who sends it.
        headers: more headers for the answer.
    """

    request: Request
    scheduler: Scheduler
    principal: Principal
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def actor(self) -> str:
        """Who is to be named in the audit trail."""
        return self.principal.name

    @property
    def base(self) -> str:
        """The path under which this application is mounted, without a slash at its end."""
        return str(self.request.scope.get("root_path") or "")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """See the module.

    Attributes:
        status: of the answer when all went well.
        body_kind: in which form its body comes.
    """

    method: str
    path: str
    role: Role
    handler: Handler
    status: int = 200
    body_kind: BodyKind = "json"

    @property
    def parameters(self) -> dict[str, Any]:
        """What the handler takes besides the call: names and annotations."""
        held = inspect.signature(self.handler, eval_str=True).parameters
        return {name: parameter.annotation for name, parameter in list(held.items())[1:]}

    @property
    def answer(self) -> Any:
        """The type of what the handler returns."""
        return inspect.signature(self.handler, eval_str=True).return_annotation

    def route(self, scheduler: Scheduler, guard: Guard) -> Route:
        """This endpoint as a route that admits, reads, calls and answers."""
        taken = self.parameters
        query, body = taken.pop("query", None), taken.pop("body", None)
        parts = _PATH_PARAMETER.findall(self.path)
        if set(parts) != set(taken):
            raise TypeError(f"{self.path} does not fit the parameters {sorted(taken)}")
        answer = TypeAdapter(Any if self.answer is Response else self.answer)

        async def respond(request: Request) -> Response:
            principal = await guard.admit(request, self.role)
            context = RequestContext(request, scheduler, principal)
            given: dict[str, Any] = {name: _part(request, name) for name in parts}
            if query is not None:
                given["query"] = read_query(request, query)
            if self.method not in csrf.SAFE:
                given |= await self._read(request, body)
            held = await self.handler(context, **given)
            if isinstance(held, Response):
                return held
            return Response(
                answer.dump_json(held), self.status, context.headers, "application/json"
            )

        return Route(self.path, respond, methods=[self.method])

    async def _read(self, request: Request, body: type[BaseModel] | None) -> dict[str, Any]:
        """The body of an unsafe request, which must come from our own pages or with a bearer."""
        token = request.headers.get(csrf.HEADER)
        if self.body_kind == "json":
            csrf.refuse_cross_site(request, token)
            given = await read_json(request)
        else:
            given = await read_form(request)
            csrf.refuse_cross_site(request, given.pop(csrf.FIELD, token))
        return {} if body is None else {"body": check(given, body, "body")}


def _part(request: Request, name: str) -> str:
    """One segment of the path; nothing is stored under a name that cannot be printed."""
    held = from_segment(request.path_params[name])
    if not held.isprintable():
        raise HTTPException(404)
    return held


class Endpoints:
    """Endpoints under one prefix, collected by decorators.

    Args:
        prefix: begins every path.
        body_kind: in which form bodies come.
    """

    def __init__(self, prefix: str = "", *, body_kind: BodyKind = "json") -> None:
        self._prefix = prefix
        self._body_kind: BodyKind = body_kind
        self._held: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._held)

    def get(self, path: str) -> Callable[[H], H]:
        """The decorated function answers GET; a viewer may call it."""
        return self._add("GET", path, "viewer", 200)

    def post(self, path: str, *, role: Role = "operator", status: int = 200) -> Callable[[H], H]:
        """The decorated function answers POST.

        Args:
            path: under the prefix; ``{name}`` is one segment.
            role: who may call it.
            status: of the answer when all went well.
        """
        return self._add("POST", path, role, status)

    def _add(self, method: str, path: str, role: Role, status: int) -> Callable[[H], H]:
        def add(handler: H) -> H:
            self._held.append(
                Endpoint(method, self._prefix + path, role, handler, status, self._body_kind)
            )
            return handler

        return add
