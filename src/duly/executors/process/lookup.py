"""Finding a task's function by its module and name, in the worker and in its child processes."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from duly.errors import ConfigurationError
from duly.registry import Registered
from duly.serving import without_requests


def find_object(module: str, name: str) -> Any:
    """Return what a module binds to a qualified name."""
    with without_requests():
        found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def find_function(module: str, name: str, task: str) -> Any:
    """Return the function that a module registers as a task.

    The function's own name may be bound to something else: a decorator may stand above that of the
    task, or the result of ``scheduler.task()(…)`` may have been given another name.

    Args:
        module: the name of the module that defines the function.
        name: the qualified name of the function.
        task: the name of the task.
    """
    found = find_object(module, name)
    for candidate in (*_layers(found), *list(vars(sys.modules[module]).values())):
        if isinstance(candidate, Registered) and candidate.task.name == task:
            return candidate.task.function
    return found


def check_function(function: Any, task: str) -> None:
    """Check that another process would find this function, and not one that it wraps.

    Raises:
        ConfigurationError: it would find another one.
    """
    module, name = function.__module__, function.__qualname__
    if find_function(module, name, task) is not function:
        raise ConfigurationError(
            f"task {task!r}: another process would find another function as {module}.{name}; "
            "decorate the function with @scheduler.task(executor='process') where it is defined, "
            "or assign the result to a name in that module"
        )


def _layers(function: Any) -> list[Any]:
    """Return a function and those that it wraps, down to the first task."""
    layers = [function]
    while not isinstance(layers[-1], Registered) and hasattr(layers[-1], "__wrapped__"):
        layers.append(layers[-1].__wrapped__)
    return layers
