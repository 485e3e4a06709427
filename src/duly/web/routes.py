"""Routes: each states who may use it, and refuses everyone else.

FastAPI reads the input from the handler's signature and describes it in the OpenAPI document. What
it leaves open is decided here, before a handler or its dependencies are called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, TypeVar, get_origin

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from duly.errors import did_you_mean
from duly.model.key import Role
from duly.web import csrf
from duly.web.access import Guard, Principal
from duly.web.bounded_request import BoundedRequest
from duly.web.ownership import Scope, refuse_foreign, refuse_foreign_body, scope_of
from duly.web.page_updates import PageUpdates, Respond, is_update
from duly.web.problems import describe_problems

H = TypeVar("H", bound=Callable[..., Awaitable[Any]])
ANYBODY = Principal("anybody")
"""The sender of a request that needs no role."""


class GuardedRoute(Route):
    """A route of the web application, which cannot be made without a rule of who may use it.

    Args:
        path: the path under the mount, with parameters as in ``/jobs/{job_id}``.
        handler: the coroutine function that responds; its docstring and its name are published.
        method: the HTTP method.
        role: the role that a sender needs; ``None``: anybody may send it.
        scope: what it concerns; see `duly.web.ownership`.
        documentation: what else FastAPI publishes of it.

    Attributes:
        creates: whether its body describes a job as a whole, which must have an owner if the
            sender is restricted to some.
    """

    media_type: ClassVar[str]
    """The media type of bodies."""

    def __init__(
        self,
        path: str,
        handler: Callable[..., Awaitable[Any]],
        *,
        method: str,
        role: Role | None,
        scope: Scope,
        **documentation: Any,
    ) -> None:
        super().__init__(path, handler, methods=[method])
        self.methods = {method}  # without HEAD, which `HeadAsGet` answers
        self.app = self._serve
        self.method = method
        self.role = role
        self.scope = scope
        self.creates = False
        self._documentation = documentation

    @cached_property
    def api_route(self) -> APIRoute:
        """What FastAPI makes of the handler; created when it is first needed.

        FastAPI reads the signature and builds models. For all routes together, that takes longer
        than all other code of the web application takes to be imported.
        """
        return _CheckedRoute(self, **self._documentation)

    async def _serve(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        await self.api_route.app(scope, receive, send)

    async def admit(self, request: Request, handle: Respond) -> Response:
        """Respond to a request if its sender may send it.

        Args:
            request: the request.
            handle: what FastAPI has made of the handler.
        """
        guard: Guard = request.app.state.guard
        bounded = BoundedRequest(request.scope, request.receive)
        admitted = await guard.admit(bounded, self.role) if self.role else ANYBODY
        bounded.state.principal = admitted
        aio = request.app.state.scheduler.aio
        await refuse_foreign(admitted, self.scope, request.path_params, aio)
        if self.method not in csrf.SAFE_METHODS:
            await self.check_body(bounded)
        self.check_query(bounded)
        return await self.respond(bounded, handle)

    async def respond(self, request: Request, handle: Respond) -> Response:
        """Respond to an admitted request by its handler."""
        return await handle(request)

    async def check_body(self, request: BoundedRequest) -> None:
        """Refuse an unsafe request of another site, and a body of another media type."""
        raise NotImplementedError

    def check_query(self, request: Request) -> None:
        """Refuse query parameters that the handler would not see."""


class _CheckedRoute(APIRoute):
    """FastAPI's view of a guarded route, which checks a request before the handler is called."""

    def __init__(self, guarded: GuardedRoute, **documentation: Any) -> None:
        self._guarded = guarded
        super().__init__(guarded.path, guarded.endpoint, methods=[guarded.method], **documentation)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what responds to a request: see `APIRoute.get_route_handler`."""
        handle = super().get_route_handler()

        async def respond(request: Request) -> Response:
            return await self._guarded.admit(request, handle)

        return respond


class ApiRoute(GuardedRoute):
    """A route of the REST API: JSON, and nothing that is not understood."""

    media_type = "application/json"

    async def check_body(self, request: BoundedRequest) -> None:
        """See `GuardedRoute.check_body`; the token is in a header."""
        csrf.refuse_cross_site(request, request.headers.get(csrf.HEADER))
        await request.refuse_other_media(self.media_type)
        principal: Principal = request.state.principal
        if principal.owners is not None and await request.body():
            aio = request.app.state.scheduler.aio
            await refuse_foreign_body(principal, self.creates, await request.json(), aio)

    def check_query(self, request: Request) -> None:
        """Refuse query parameters that are unknown, or that are given twice and are no list.

        Raises:
            HTTPException: 422, naming the parameter.
        """
        for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
            if name not in self.query_parameters:
                hint = did_you_mean(name, self.query_parameters)
                raise HTTPException(422, f"In the query: unknown parameter {name!r}{hint}.")
            if count > 1 and not self.query_parameters[name]:
                raise HTTPException(422, f"In the query: {name} may be given only once.")

    @cached_property
    def query_parameters(self) -> dict[str, bool]:
        """The names of the query parameters, and whether they may be given several times."""
        models: list[Any] = [
            field.field_info.annotation for field in self.api_route.dependant.query_params
        ]
        return {
            name: get_origin(field.annotation) is list
            for model in models
            for name, field in model.model_fields.items()
        }


class PageRoute(GuardedRoute):
    """A route of the dashboard: forms, which contain their token, and links with any query."""

    media_type = "application/x-www-form-urlencoded"

    async def check_body(self, request: BoundedRequest) -> None:
        """See `GuardedRoute.check_body`; the token is a field of the form."""
        await request.body()
        await request.refuse_other_media(self.media_type)
        token = (await request.form(max_files=0)).get(csrf.FIELD)
        csrf.refuse_cross_site(request, token if isinstance(token, str) else None)

    async def respond(self, request: Request, handle: Respond) -> Response:
        """See `GuardedRoute.respond`; an update of an open page is shared."""
        if self.method not in csrf.SAFE_METHODS or not is_update(request):
            return await handle(request)
        updates: PageUpdates = request.app.state.page_updates
        principal: Principal = request.state.principal
        base, address = request.scope.get("root_path"), request.scope["path"]
        of_user = (principal.role, principal.owners)
        key = (base, address, request.scope["query_string"], *of_user)
        return await updates.respond(request, key, handle)


class Routes:
    """A collection of routes under one prefix, added by decorators.

    Args:
        prefix: the start of every path.
        tag: the group in which the OpenAPI document lists them; ``None``: they are pages, which
            are not documented.
    """

    def __init__(self, prefix: str = "", *, tag: str | None) -> None:
        self._prefix = prefix
        self._tag = tag
        self._routes: list[GuardedRoute] = []

    def __iter__(self) -> Iterator[GuardedRoute]:
        return iter(self._routes)

    def get(
        self,
        path: str,
        *,
        role: Role | None = "viewer",
        response: Any = None,
        others: Mapping[int, type] | None = None,
        fails: tuple[int, ...] = (),
        media: type[Response] = JSONResponse,
        scope: Scope | None = None,
    ) -> Callable[[H], H]:
        """Decorate a handler of GET requests.

        Args:
            path: the path under the prefix; ``{name}`` matches one segment.
            role: the role that a sender needs; ``None``: none, so it must not tell anything that
                only users may know. Default: ``viewer``.
            response: the type of the response, if the handler returns a `Response` itself.
            others: the types of responses with other statuses that are no problems.
            fails: the HTTP statuses of problems that are special to this route.
            media: the class of its successful responses; default: JSON.
            scope: what it concerns, for senders who are restricted to some owners: see
                `duly.web.ownership`. Default: the job or run that the path names; otherwise all
                owners, so that such senders are refused.
        """
        return self._add(
            "GET",
            path,
            role=role,
            status=200,
            fails=fails,
            response=response,
            media=media,
            scope=scope,
            others=others,
        )

    def post(
        self,
        path: str,
        *,
        role: Role = "operator",
        status: int = 200,
        fails: tuple[int, ...] = (),
        scope: Scope | None = None,
        creates: bool = False,
    ) -> Callable[[H], H]:
        """Decorate a handler of POST requests; see `get`.

        Args:
            path: the path.
            role: the role that a sender needs; default: ``operator``.
            status: the HTTP status of a successful response; default: 200.
            fails: the HTTP statuses of special problems.
            scope: see `get`.
            creates: whether its body describes a job as a whole.
        """
        return self._add(
            "POST", path, role=role, status=status, fails=fails, scope=scope, creates=creates
        )

    def put(
        self, path: str, *, role: Role = "admin", fails: tuple[int, ...] = (), creates: bool = False
    ) -> Callable[[H], H]:
        """Decorate a handler of PUT requests; see `post`. The default role is ``admin``."""
        return self._add("PUT", path, role=role, status=200, fails=fails, creates=creates)

    def patch(
        self, path: str, *, role: Role = "admin", fails: tuple[int, ...] = ()
    ) -> Callable[[H], H]:
        """Decorate a handler of PATCH requests; see `get`. The default role is ``admin``."""
        return self._add("PATCH", path, role=role, status=200, fails=fails)

    def delete(
        self, path: str, *, role: Role = "admin", status: int = 204, fails: tuple[int, ...] = ()
    ) -> Callable[[H], H]:
        """Decorate a handler of DELETE requests; see `get`. The default role is ``admin``."""
        return self._add("DELETE", path, role=role, status=status, fails=fails)

    def _add(
        self,
        method: str,
        path: str,
        *,
        role: Role | None,
        status: int,
        fails: tuple[int, ...],
        response: Any = None,
        media: type[Response] = JSONResponse,
        scope: Scope | None = None,
        creates: bool = False,
        others: Mapping[int, type] | None = None,
    ) -> Callable[[H], H]:
        kind = PageRoute if self._tag is None else ApiRoute

        def add(handler: H) -> H:
            summary, _, rest = (handler.__doc__ or "").partition("\n")
            statuses = _problems(self._prefix + path, method, role) | set(fails)
            route = kind(
                self._prefix + path,
                handler,
                method=method,
                role=role,
                scope=scope or scope_of(path),
                status_code=status,
                response_class=media,
                **({} if response is None else {"response_model": response}),
                operation_id=handler.__name__,
                summary=summary.rstrip("."),
                description=rest.strip() or None,
                tags=[self._tag] if self._tag else [],
                include_in_schema=self._tag is not None,
                responses=describe_problems(statuses - (others or {}).keys())
                | {status: {"model": model} for status, model in (others or {}).items()},
                openapi_extra={
                    "x-duly-role": role,
                    "x-duly-scope": scope or scope_of(path),
                },
            )
            route.creates = creates
            self._routes.append(route)
            return handler

        return add


def _problems(path: str, method: str, role: Role | None) -> set[int]:
    """Return the HTTP statuses of the problems that any such route may respond with."""
    statuses = {422, 503}
    if role is not None:
        statuses |= {401, 403, 429}
    if "{" in path:
        statuses.add(404)
    if method not in csrf.SAFE_METHODS:
        statuses |= {409, 413, 415}
    return statuses
