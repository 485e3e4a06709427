"""Loading the scheduler that a command line names as ``module:attribute``."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import click

from duly.cli.lazy import FAILED
from duly.errors import did_you_mean
from duly.operations.task_function import TaskFunction
from duly.scheduler import Scheduler
from duly.serving import without_requests

FACTORIES = ("create_app", "make_app")
"""The names by which the documentation of web frameworks calls application factories."""

SCHEDULER = "duly.scheduler"
"""The key of the context at which ``flask duly`` keeps the scheduler of its application."""


def _require_app(ctx: click.Context, param: click.Parameter, app: str | None) -> str:
    """Return the application's name; ``flask duly`` has chosen it already."""
    if app is None and SCHEDULER not in ctx.meta:
        raise click.MissingParameter(ctx=ctx, param=param)
    if app is not None and SCHEDULER in ctx.meta:
        raise click.BadParameter("flask has chosen the application; leave it out")
    return app or "the application"


application_argument = click.argument("app", metavar="APP", required=False, callback=_require_app)
app_dir_option = click.option(
    "--app-dir",
    default=".",
    show_default=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder to import APP from",
)


def load_scheduler(app: str | None, app_dir: str = ".") -> Scheduler:
    """Import an application and return its scheduler.

    Args:
        app: ``module:attribute``, where the attribute, which may be a dotted path, is an
            application that ``init_app`` has connected to a scheduler, a `Scheduler`, or a function
            without parameters that returns either. Under ``flask duly``: none.
        app_dir: the folder to insert at the front of ``sys.path``.

    Raises:
        click.BadParameter: there is no such module or attribute, or it is not a scheduler.
        SystemExit: the application's own code failed; its traceback is printed.
    """
    context = click.get_current_context(silent=True)
    if context is not None and SCHEDULER in context.meta:
        chosen: Scheduler = context.meta[SCHEDULER]
        return chosen
    name, path, folder = _located(app or "", app_dir)
    with without_requests():
        return _find(name, path, folder)


def load_object(app: str, app_dir: str = ".") -> Any:
    """Import a module and return one of its attributes.

    Args:
        app: ``module:attribute``, where the attribute may be a dotted path.
        app_dir: see `load_scheduler`.

    Raises:
        click.BadParameter: there is no such module or attribute.
        SystemExit: the application's own code failed; its traceback is printed.
    """
    name, path, folder = _located(app, app_dir)
    with without_requests():
        return _attribute(_import(name, folder), name, path)


def _located(app: str, app_dir: str) -> tuple[str, str, str]:
    """Return the module, the attribute and the folder, from which modules can now be imported."""
    name, _, path = app.partition(":")
    if not name or not path:
        _refuse(f"{app!r} has no attribute; write MODULE:ATTRIBUTE, such as myapp.jobs:scheduler")
    if name.endswith(".py"):
        dotted = ".".join(Path(name).with_suffix("").parts)
        _refuse(f"{name!r} is a file; write {dotted}:{path}, the name of its module")
    folder = str(Path(app_dir).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return name, path, folder


def _find(name: str, path: str, folder: str) -> Scheduler:
    app = f"{name}:{path}"
    module = _import(name, folder)
    value = _attribute(module, name, path)
    scheduler = _scheduler_of(value)
    if scheduler is None and callable(value) and not _is_application(value):
        value = _call(value, app)
        scheduler = _scheduler_of(value)
    if scheduler is None:
        if _is_application(value) and not isinstance(value, TaskFunction):
            hint = _hint(module, name)
            _refuse(f"{app!r} has no scheduler; connect it: init_app(app, scheduler){hint}")
        kind = type(value).__name__
        _refuse(f"{app!r} is not a Scheduler but of type {kind}{_hint(module, name)}")
    return scheduler


def _attribute(module: ModuleType, name: str, path: str) -> Any:
    value: Any = module
    for part in path.split("."):
        if not hasattr(value, part):
            known = [key for key in vars(module) if not key.startswith("_")]
            near = difflib.get_close_matches(path, known, n=1)
            closest = f"; did you mean {name}:{near[0]}?" if near else ""
            hint = closest or _hint(module, name) or did_you_mean(path, known)
            _refuse(f"module {name!r} has no attribute {path!r}{hint}")
        value = getattr(value, part)
    return value


def _scheduler_of(value: Any) -> Scheduler | None:
    """Return a scheduler, or that of a FastAPI, Starlette or Flask application."""
    extensions = getattr(value, "extensions", None)
    connected = extensions.get("duly") if isinstance(extensions, dict) else None
    state = getattr(value, "state", None)
    lifespan = getattr(getattr(value, "router", None), "lifespan_context", None)
    own = getattr(lifespan, "__self__", None)  # FastAPI(lifespan=scheduler.lifespan)
    for found in (value, connected, getattr(state, "duly", None), own):
        if isinstance(found, Scheduler):
            return found
    return None


def _is_application(value: Any) -> bool:
    """Return whether a callable is a web application or a task, rather than a factory."""
    return isinstance(value, TaskFunction) or hasattr(value, "router") or hasattr(value, "wsgi_app")


def _import(name: str, folder: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            _refuse(
                f"there is no module {error.name!r} in {folder} or among the installed packages; "
                "--app-dir sets another folder"
            )
        _fail(f"{name!r} could not be imported")
    except Exception:  # noqa: BLE001 - whatever the application's code raises
        _fail(f"{name!r} could not be imported")


def _call(factory: Any, app: str) -> Any:
    try:
        inspect.signature(factory).bind()
    except TypeError:
        given = f"{factory.__name__}{inspect.signature(factory)}"
        _refuse(f"{given} needs arguments; name a function that can be called without any")
    except ValueError:  # a callable whose signature is not known
        pass
    try:
        return factory()
    except Exception:  # noqa: BLE001 - whatever the application's code raises
        _fail(f"{app!r} could not be called")


def _hint(module: ModuleType, name: str) -> str:
    """Return a suggestion of what the module has: schedulers, or the usual name of a factory."""
    known = vars(module).items()
    found = [key for key, value in known if isinstance(value, Scheduler) and value.has_database]
    found = found or [key for key, value in known if key in FACTORIES and callable(value)]
    return f"; did you mean {' or '.join(f'{name}:{key}' for key in found)}?" if found else ""


def _refuse(problem: str) -> NoReturn:
    raise click.BadParameter(problem, param_hint="APP")


def _fail(problem: str) -> NoReturn:
    traceback.print_exc()
    click.echo(f"duly: {problem}; see the traceback above", err=True)
    raise SystemExit(FAILED)
