"""The scheduler that a command line names: ``module:attribute``."""

from __future__ import annotations

import importlib
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

application_argument = click.argument("app", metavar="APP")
app_dir_option = click.option(
    "--app-dir",
    default=".",
    show_default=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder that APP is imported from",
)


def load_scheduler(app: str, app_dir: str = ".") -> Scheduler:
    """Import an application and take its scheduler.

    Args:
        app: ``module:attribute``; the attribute is a `Scheduler`, or a function without
            parameters that makes one; it may be a dotted path.
        app_dir: a folder that is put at the front of ``sys.path``.

    Raises:
        click.BadParameter: there is no such module or attribute, or it is no scheduler.
        SystemExit: the application's own code failed while it was imported; its traceback is
            printed.
    """
    name, _, path = app.partition(":")
    if not name or not path:
        _refuse(f"{app!r} names no attribute; write MODULE:ATTRIBUTE, such as myapp.jobs:scheduler")
    folder = str(Path(app_dir).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _import(name, folder)
    held: Any = module
    for part in path.split("."):
        if not hasattr(held, part):
            known = [key for key in vars(module) if not key.startswith("_")]
            _refuse(f"{name!r} has no {path!r}{_hint(module, name) or did_you_mean(path, known)}")
        held = getattr(held, part)
    if callable(held) and not isinstance(held, TaskFunction):
        held = _make(held, app)
    if not isinstance(held, Scheduler):
        _refuse(f"{app!r} gives no Scheduler but {type(held).__name__}{_hint(module, name)}")
    scheduler: Scheduler = held
    return scheduler


def _import(name: str, folder: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            _refuse(
                f"there is no module {error.name!r}; it is looked for in {folder} and among the "
                "installed packages (--app-dir names another folder)"
            )
        _fail(f"{name!r} could not be imported")
    except Exception:  # noqa: BLE001 - whatever the application's code raises
        _fail(f"{name!r} could not be imported")


def _make(factory: Any, app: str) -> Any:
    try:
        return factory()
    except Exception:  # noqa: BLE001 - whatever the application's code raises
        _fail(f"{app!r} could not be called")


def _hint(module: ModuleType, name: str) -> str:
    """What else in the module is a scheduler."""
    found = [key for key, value in vars(module).items() if isinstance(value, Scheduler)]
    return f"; did you mean {' or '.join(f'{name}:{key}' for key in found)}?" if found else ""


def _refuse(problem: str) -> NoReturn:
    raise click.BadParameter(problem, param_hint="APP")


def _fail(problem: str) -> NoReturn:
    traceback.print_exc()
    click.echo(f"duly: {problem}; the error is above", err=True)
    raise SystemExit(FAILED)
