"""Starlette and FastAPI: a scheduler that lives with an application, and answers for its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Mount

from duly.errors import ConfigurationError, DatabaseUnavailable
from duly.integrations.answered import ANSWERED
from duly.scheduler import Scheduler
from duly.web import web_app
from duly.web.access import Access
from duly.web.problems import RETRY_AFTER_SECONDS, Problem


def init_app(
    app: Starlette,
    scheduler: Scheduler,
    *,
    web: str | None = None,
    access: Access | None = None,
    start: bool = True,
) -> None:
    """Connect a scheduler to a FastAPI or Starlette application.

    The scheduler starts when the application has started, after the application's own lifespan has
    opened what jobs need, and stops before that lifespan closes it. Jobs may be declared before or
    after this call. The scheduler is available as ``app.state.duly``, and to endpoints of FastAPI
    through ``duly.integrations.fastapi.SchedulerDep``; functions reach the application as
    ``run.app``.

    Errors that a request causes become responses: `NotFound` 404, `Conflict` 409,
    `ArgumentsError`, `PayloadError`, `TriggerError` and `NaiveDatetimeError` 422,
    `DatabaseUnavailable` and `TooManyWaiting` 503. They are problem details (RFC 9457), with the
    message as ``detail``. An exception handler of the application for one of these classes takes
    precedence.

    Args:
        app: the application. Include routers that have a lifespan before this call.
        scheduler: the scheduler of this application. It may be connected to another application
            later, as tests with an application factory do.
        web: the path of the dashboard and the REST API, for example ``"/duly"``; default: none.
        access: required with ``web``: a function that returns who sends a request, as for
            `duly.web.web_app`.
        start: whether this application fires jobs and executes runs. With ``False`` it only
            declares, enqueues and queries, and other processes, such as ``duly run``, do the work.
            Duly's tables are created in either case.

    Raises:
        ConfigurationError: the application already has a scheduler, ``web`` was given without
            ``access``, or another argument is not valid.
    """
    _check(app, scheduler, web, access)
    if web is not None and access is not None:
        # At the front, so that a route of the application that matches every path does not hide it.
        dashboard = Mount(web.rstrip("/"), web_app(scheduler, access=access), name="duly")
        app.router.routes.insert(0, dashboard)
    app.state.duly = scheduler
    scheduler.app = app
    app.router.lifespan_context = _around(app.router.lifespan_context, scheduler, start=start)
    for error in ANSWERED:
        app.exception_handlers.setdefault(error, respond_to_error)


def get_scheduler(connection: HTTPConnection) -> Scheduler:
    """Return the scheduler of the application that handles this request or WebSocket.

    Args:
        connection: the request or the WebSocket; FastAPI supplies it.

    Raises:
        ConfigurationError: the application has no scheduler.
    """
    scheduler = getattr(connection.app.state, "duly", None)
    if not isinstance(scheduler, Scheduler):
        raise ConfigurationError(
            "this application has no scheduler; call init_app(app, scheduler) where you create "
            "it, or enter scheduler.lifespan(app) in its lifespan. For an application that is "
            "mounted in another one, set mounted.state.duly = scheduler"
        )
    return scheduler


async def respond_to_error(connection: HTTPConnection, error: Exception) -> Response:
    """Respond to an error that a request has caused; see `init_app`."""
    if not isinstance(connection, Request):
        raise error  # a WebSocket has no status
    problem = Problem.of(error)
    response = problem.as_json()
    if problem.status == 503:
        response.headers["Retry-After"] = RETRY_AFTER_SECONDS
    return response


Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def _around(own: Lifespan, scheduler: Scheduler, *, start: bool) -> Lifespan:
    """Return an application's own lifespan, extended by that of the scheduler, inside it."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        async with own(app) as state, scheduler.lifespan(app) if start else _prepared(scheduler):
            yield state

    return lifespan


@asynccontextmanager
async def _prepared(scheduler: Scheduler) -> AsyncIterator[None]:
    """Create the tables before the first request, whose transaction would lock an SQLite file."""
    try:
        await scheduler.aio.prepare()
    except DatabaseUnavailable:  # which the store has logged
        if scheduler.settings.required:
            raise
    yield


def _check(app: object, scheduler: object, web: object, access: object) -> None:
    if not isinstance(app, Starlette) or not isinstance(scheduler, Scheduler):
        given = f"{type(app).__name__}, {type(scheduler).__name__}"
        raise ConfigurationError(
            f"init_app({given}) is not valid; give a FastAPI or Starlette application and a "
            "Scheduler"
        )
    if hasattr(app.state, "duly"):
        raise ConfigurationError(
            "this application already has a scheduler; call init_app once for each application"
        )
    if web is None and access is not None:
        raise ConfigurationError('access= is for the dashboard; set its path, too: web="/duly"')
    if web is not None and access is None:
        raise ConfigurationError(
            f"web={web!r} requires access=, a function that returns who sends a request: "
            "access=lambda request: Principal(name='ana', role='operator'), or for a demo on your "
            "own machine access=local_key(), both from duly.web"
        )
    if web is not None and (not isinstance(web, str) or not web.strip("/") or web[0] != "/"):
        raise ConfigurationError(
            f'web={web!r} is not valid; give the path of the dashboard: web="/duly"'
        )
