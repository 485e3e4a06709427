"""Flask: the scheduler lives with the application, and every run is inside its context."""

from __future__ import annotations

import functools
import inspect
import os
import weakref
from collections.abc import Callable
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo, run_command
from flask.ctx import AppContext
from flask.helpers import get_debug_flag
from werkzeug.serving import is_running_from_reloader

from duly.context import Run
from duly.errors import ConfigurationError, DatabaseURLError, LifecycleError
from duly.integrations.wsgi import WSGILifespan, end_in_order_on_sigterm
from duly.scheduler import Scheduler

URL = "DULY_URL"
"""Where an application's configuration names the database."""

RELOAD_GRACE = 1.0
"""Seconds that running functions get when the development server reloads: somebody waits."""


class AppContextForRuns:
    """Around every run of a scheduler: the context of its application.

    Attributes:
        app: whose.
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
    """Join a scheduler and an application.

    Every run executed in this process is inside ``app.app_context()``; the scheduler is found at
    ``app.extensions["duly"]`` and by `get_scheduler`; it stops when the process ends, and what
    does not finish within its grace is given back. Jobs may be declared before or after this call.

    Args:
        app: the application. Its ``config["DULY_URL"]`` is the database of a scheduler that was
            made without one; a scheduler that was made with one keeps it.
        scheduler: one scheduler per application. A scheduler that does not run may be given to
            a newer application (as tests with an application factory do); its runs then are in
            the context of that one, and on its database.
        web: where to mount the dashboard and the REST API, for example ``"/duly"``.
        access: for ``web``: says who sends a request, as for `duly.web.web_app`. It is called
            inside a request context of the application, so ``flask.session`` and what builds on
            it work.
        start: ``None``: where the application is served (``flask run``, ``app.run()``, a worker
            of gunicorn; behind another server at its first request) and nowhere else: not in
            a shell, a command, a migration, a test, or the reloader's parent. ``True``: here and
            now, wherever this is. ``False``: never; you call ``scheduler.start()`` yourself.

    Raises:
        ConfigurationError: the application has a scheduler already, ``web`` without ``access``,
            or another argument is wrong.
        DatabaseURLError: neither the scheduler nor the application says which database.
        LifecycleError: the scheduler runs already, for another application.
        DatabaseUnavailable: only of a scheduler made with ``start="required"``.
    """
    _check(app, scheduler, web, access)
    if scheduler.takes_database and URL in app.config:
        scheduler.use_database(app.config[URL])
    if web is not None:
        _mount(app, scheduler, web, access)
    _give_context(app, scheduler)
    app.extensions["duly"] = scheduler
    if start is None:
        _start_where_served(app, scheduler)
    elif start:
        scheduler.start()
        WSGILifespan(scheduler).begin()


def get_scheduler() -> Scheduler:
    """The scheduler of the current application.

    Raises:
        ConfigurationError: the application has none.
    """
    try:
        held: Scheduler = current_app.extensions["duly"]
    except KeyError:
        raise ConfigurationError(
            f"the application {current_app.name!r} has no scheduler; call "
            "init_app(app, scheduler) when you make it"
        ) from None
    return held


def _check(app: object, scheduler: object, web: object, access: object) -> None:
    if not isinstance(app, Flask) or not isinstance(scheduler, Scheduler):
        given = f"{type(app).__name__}, {type(scheduler).__name__}"
        raise ConfigurationError(f"init_app({given}): give a Flask application and a Scheduler")
    if "duly" in app.extensions:
        raise ConfigurationError(
            f"the application {app.name!r} has a scheduler already; call init_app once for each"
        )
    if not scheduler.has_database and URL not in app.config:
        raise DatabaseURLError(
            f"the scheduler was made without a database URL, and app.config[{URL!r}] is not set; "
            "load the configuration before init_app, or give the URL to Scheduler(…)"
        )
    if web is None and access is not None:
        raise ConfigurationError('access= is for the dashboard; say where it is: web="/duly"')
    if web is not None and access is None:
        raise ConfigurationError(
            f"web={web!r} needs access=, a callable that says who sends a request: "
            "access=lambda request: Principal(name='ana', role='operator')"
        )
    if web is not None and (not isinstance(web, str) or not web.strip("/") or web[0] != "/"):
        raise ConfigurationError(f'web={web!r}; give the path of the dashboard: web="/duly"')


def _give_context(app: Flask, scheduler: Scheduler) -> None:
    held = _contexts.get(scheduler, lambda: None)()
    if held is None:
        held = AppContextForRuns(app)
        scheduler.around(held)
        _contexts[scheduler] = weakref.ref(held)
    elif scheduler.state != "stopped":
        raise LifecycleError(
            f"the scheduler runs for the application {held.app.name!r}; stop it before another "
            "application takes it"
        )
    held.app = app


def _start_where_served(app: Flask, scheduler: Scheduler) -> None:
    lifespan = WSGILifespan(scheduler, grace=RELOAD_GRACE if is_running_from_reloader() else None)
    # Whoever wraps an application in middleware assigns this method; so Flask's documentation.
    app.wsgi_app = lifespan.at_first_request(app.wsgi_app)  # type: ignore[method-assign]
    app.run = _serving_run(app, lifespan)  # type: ignore[method-assign]
    if lifespan.begin_in_gunicorn():
        lifespan.require_database()
    command = click.get_current_context(silent=True)
    if command is not None and command.command is run_command:
        _begin_in_flask_run(app, lifespan, command)


def _begin_in_flask_run(app: Flask, lifespan: WSGILifespan, command: click.Context) -> None:
    """Begin once ``flask run`` has loaded the application, in the process that serves."""
    reload = command.params["reload"]
    script = command.find_object(ScriptInfo)
    if script is None or _is_reloaders_parent(get_debug_flag() if reload is None else reload):
        return
    lifespan.require_database()
    end_in_order_on_sigterm()
    # Where loading fails under the reloader, an error page is served and this never is true.
    lifespan.begin_when(lambda: getattr(script, "_loaded_app", None) is app)


def _serving_run(app: Flask, lifespan: WSGILifespan) -> Callable[..., None]:
    """``app.run``, which begins the scheduler where it is going to serve."""
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
    """Whether this process only starts another one, which serves."""
    return reload and not is_running_from_reloader()


def _mount(app: Flask, scheduler: Scheduler, path: str, access: Any) -> None:
    # Only who mounts the dashboard pays for it.
    from duly.integrations.flask_dashboard import mount  # noqa: PLC0415

    mount(app, scheduler, path.rstrip("/"), access)
