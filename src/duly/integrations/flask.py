"""Flask: starts and stops the scheduler, and runs tasks in the application context."""

from __future__ import annotations

import functools
import inspect
import os
import weakref
from collections.abc import Callable
from typing import Any

import click
from flask import Flask, Response, current_app
from flask.cli import ScriptInfo, run_command
from flask.ctx import AppContext
from flask.helpers import get_debug_flag
from flask.json.provider import DefaultJSONProvider
from werkzeug.serving import is_running_from_reloader

from duly.context import Run
from duly.errors import ConfigurationError, DatabaseURLError, LifecycleError
from duly.integrations.answered import ANSWERED
from duly.integrations.wsgi import (
    WSGILifespan,
    end_in_order_on_sigterm,
    prepare_at_first_request,
)
from duly.model.record import Record
from duly.scheduler import Scheduler

URL = "DULY_URL"
"""The key for the database URL in an application's configuration."""

RELOAD_GRACE = 1.0
"""Seconds that running functions get when the development server reloads; short, as you wait."""


class AppContextForRuns:
    """Enters the context of an application around every run of a scheduler.

    Attributes:
        app: the application.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app

    def __call__(self, _run: Run) -> AppContext:
        """See `Scheduler.around`."""
        return self.app.app_context()


_contexts: weakref.WeakKeyDictionary[Scheduler, weakref.ref[AppContextForRuns]]
_contexts = weakref.WeakKeyDictionary()


def init_app(
    app: Flask,
    scheduler: Scheduler,
    *,
    web: str | None = None,
    access: Callable[[Any], Any] | None = None,
    start: bool | None = None,
) -> None:
    """Connect a scheduler to an application.

    Every run in this process executes inside ``app.app_context()``. ``jsonify`` writes what queries
    return, such as ``scheduler.jobs()``, as the REST API does. The scheduler is available as
    ``app.extensions["duly"]`` and through `get_scheduler`. It stops when the process ends; runs
    that do not finish within its grace period are given back. Jobs may be declared before or after
    this call.

    Errors that a request causes become responses: `NotFound` 404, `Conflict` 409,
    `ArgumentsError`, `PayloadError`, `TriggerError` and `NaiveDatetimeError` 422,
    `DatabaseUnavailable` and `TooManyWaiting` 503. They are problem details (RFC 9457), with the
    message as ``detail``. An error handler of the application for one of these classes takes
    precedence.

    Args:
        app: the application. If the scheduler was created without a database URL, it uses
            ``app.config["DULY_URL"]``.
        scheduler: the scheduler of this application. A scheduler that is not running can be
            connected to another application later, as tests with an application factory do; it
            then uses the context and the database of that application.
        web: the path of the dashboard and the REST API, for example ``"/duly"``; default: none.
        access: required with ``web``: a function that returns who sends a request, as for
            `duly.web.web_app`. It is called in a request context of the application, so it can use
            ``flask.session``.
        start: ``None`` starts the scheduler in the process that serves the application (with
            ``flask run``, ``app.run()`` or in a gunicorn worker; behind other servers at the first
            request), and not in shells, commands, migrations, tests or the reloader's parent.
            ``True`` starts it now. ``False`` leaves it to you to call ``scheduler.start()``, or to
            other processes, such as ``duly run``; the first request from a server creates Duly's
            tables if they do not exist.

    Raises:
        ConfigurationError: the application already has a scheduler, ``web`` was given without
            ``access``, or another argument is not valid.
        DatabaseURLError: neither the scheduler nor the application has a database URL.
        LifecycleError: the scheduler is running for another application.
        DatabaseUnavailable: the database does not respond, and the scheduler was created with
            ``start="required"``.
    """
    _check(app, scheduler, web, access)
    if scheduler.takes_database and URL in app.config:
        scheduler.use_database(app.config[URL])
    if web is not None:
        _mount(app, scheduler, web, access)
    _give_context(app, scheduler)
    app.extensions["duly"] = scheduler
    _show_records(app)
    _respond_to_errors(app)
    if start is None:
        _start_where_served(app, scheduler)
    elif not start:
        app.wsgi_app = prepare_at_first_request(app.wsgi_app, scheduler)  # type: ignore[method-assign]
    else:
        scheduler.start()
        WSGILifespan(scheduler).begin()


def get_scheduler() -> Scheduler:
    """Return the scheduler of the current application.

    Raises:
        ConfigurationError: the application has no scheduler.
    """
    try:
        scheduler: Scheduler = current_app.extensions["duly"]
    except KeyError:
        raise ConfigurationError(
            f"the application {current_app.name!r} has no scheduler; call "
            "init_app(app, scheduler) when you create it"
        ) from None
    return scheduler


def respond_to_error(error: Exception) -> Response:
    """Respond to an error that a request has caused; see `init_app`."""
    # Imported here, because it loads Starlette, which only this and the dashboard need.
    from duly.web.problems import RETRY_AFTER_SECONDS, Problem  # noqa: PLC0415

    problem = Problem.of(error)
    made = problem.as_json()
    response = Response(bytes(made.body), problem.status, mimetype=made.media_type)
    if problem.status == 503:
        response.headers["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def _check(app: object, scheduler: object, web: object, access: object) -> None:
    if not isinstance(app, Flask) or not isinstance(scheduler, Scheduler):
        given = f"{type(app).__name__}, {type(scheduler).__name__}"
        raise ConfigurationError(
            f"init_app({given}) is not valid; give a Flask application and a Scheduler"
        )
    if "duly" in app.extensions:
        raise ConfigurationError(
            f"the application {app.name!r} already has a scheduler; call init_app once for each"
        )
    if not scheduler.has_database and URL not in app.config:
        raise DatabaseURLError(
            f"the scheduler has no database URL, and app.config[{URL!r}] is not set; load the "
            "configuration before init_app, or pass the URL to Scheduler(…)"
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


def _show_records(app: Flask) -> None:
    """Make ``jsonify`` and views write records as the REST API does."""
    provider = app.json
    if not isinstance(provider, DefaultJSONProvider):
        return
    write: Callable[[Any], Any] = provider.default

    def default(value: Any) -> Any:
        return value.to_dict() if isinstance(value, Record) else write(value)

    provider.default = default


def _respond_to_errors(app: Flask) -> None:
    """Respond to errors that requests cause; handlers of the application take precedence."""
    own = app.error_handler_spec[None][None]
    for error in ANSWERED:
        if error not in own:
            app.register_error_handler(error, respond_to_error)


def _give_context(app: Flask, scheduler: Scheduler) -> None:
    context = _contexts.get(scheduler, lambda: None)()
    if context is None:
        context = AppContextForRuns(app)
        scheduler.around(context)
        _contexts[scheduler] = weakref.ref(context)
    elif scheduler.state != "stopped":
        raise LifecycleError(
            f"the scheduler is running for the application {context.app.name!r}; stop it before "
            "you connect it to another application"
        )
    context.app = app


def _start_where_served(app: Flask, scheduler: Scheduler) -> None:
    lifespan = WSGILifespan(scheduler, grace=RELOAD_GRACE if is_running_from_reloader() else None)
    # Flask documents this assignment as the way to add WSGI middleware.
    app.wsgi_app = lifespan.at_first_request(app.wsgi_app)  # type: ignore[method-assign]
    app.run = _serving_run(app, lifespan)  # type: ignore[method-assign]
    if lifespan.begin_in_gunicorn():
        lifespan.require_database()
    command = click.get_current_context(silent=True)
    if command is not None and command.command is run_command:
        _begin_in_flask_run(app, lifespan, command)


def _begin_in_flask_run(app: Flask, lifespan: WSGILifespan, command: click.Context) -> None:
    """Begin in the process that serves, once ``flask run`` has loaded the application."""
    reload = command.params["reload"]
    script = command.find_object(ScriptInfo)
    if script is None or _is_reloaders_parent(get_debug_flag() if reload is None else reload):
        return
    lifespan.require_database()
    end_in_order_on_sigterm()
    # If loading fails under the reloader, Flask serves an error page and this never becomes true.
    lifespan.begin_when(lambda: getattr(script, "_loaded_app", None) is app)


def _serving_run(app: Flask, lifespan: WSGILifespan) -> Callable[..., None]:
    """Return ``app.run``, extended to begin the scheduler in the process that serves."""
    run = app.run

    @functools.wraps(run)
    def serving_run(*args: Any, **options: Any) -> None:
        ignored = os.environ.get("FLASK_RUN_FROM_CLI") == "true"
        given = inspect.signature(run).bind(*args, **options).arguments
        debug = given.get("debug")
        if debug is None:
            debug = get_debug_flag() if "FLASK_DEBUG" in os.environ else app.debug
        reload = given.get("options", {}).get("use_reloader", debug)
        if not ignored and not _is_reloaders_parent(reload):
            lifespan.require_database()
            end_in_order_on_sigterm()
            lifespan.begin()
        run(*args, **options)

    return serving_run


def _is_reloaders_parent(reload: bool) -> bool:
    """Return whether this process only starts another one, which serves."""
    return reload and not is_running_from_reloader()


def _mount(app: Flask, scheduler: Scheduler, path: str, access: Any) -> None:
    # Imported here, because it loads Starlette, which only the dashboard needs.
    from duly.integrations.flask_dashboard import mount  # noqa: PLC0415

    mount(app, scheduler, path.rstrip("/"), access)
