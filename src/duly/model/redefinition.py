"""Whether a function is the one that was registered before, or a newer version of it."""

from __future__ import annotations

import functools
import inspect
from types import CodeType, FunctionType, MethodType
from typing import Any

_VALUES = frozenset({int, str, bool, float, bytes, type(None)})
_DEEPEST = 10


def module_execution(function: Any) -> object:
    """Return what identifies the execution of the module that defined a function, if known.

    ``importlib.reload`` gives a module another spec. Scripts and notebooks have none.
    """
    return getattr(_innermost(function), "__globals__", {}).get("__spec__")


def replaces(new: Any, old: Any, old_execution: object) -> bool:
    """Return whether a function may take the place of another one with its name.

    It may if it is the same function, or defined again by a module that was reloaded or a notebook
    cell that was run again. It may not if the same definition was executed twice with different
    values, as in a loop, or if there are two definitions.

    Args:
        new: the function to register.
        old: the function that is registered.
        old_execution: the `module_execution` of the old one when it was registered.
    """
    return _is_same(new, old, 0) or is_newer(new, old, old_execution)


def is_newer(new: Any, old: Any, old_execution: object) -> bool:
    """Return whether a function was compiled again after another one; see `replaces`."""
    return _is_newer(new, old, old_execution, 0)


def _is_same(new: Any, old: Any, depth: int) -> bool:
    """Return whether two functions do the same: one code with equal values around it."""
    if new is old:
        return True
    if type(new) is not type(old) or depth > _DEEPEST:
        return False
    if isinstance(new, tuple):
        pairs = zip(new, old, strict=False)
        return len(new) == len(old) and all(_is_same(*pair, depth + 1) for pair in pairs)
    if isinstance(new, dict):
        return new.keys() == old.keys() and all(
            _is_same(value, old[key], depth + 1) for key, value in new.items()
        )
    if isinstance(new, MethodType):
        return new.__self__ is old.__self__ and new.__func__ is old.__func__
    if isinstance(new, FunctionType):
        parts = _has_same_code(new, old), _is_same(_values(new), _values(old), depth + 1)
        return all(parts)
    if isinstance(new, functools.partial):
        one, other = ((part.func, part.args, part.keywords) for part in (new, old))
        return _is_same(one, other, depth + 1)
    return type(new) in _VALUES and bool(new == old)


def _is_newer(new: Any, old: Any, old_execution: object, depth: int) -> bool:
    """Return whether the definition of a function, or of one that it wraps, was compiled again."""
    if depth > _DEEPEST:
        return False
    if isinstance(new, FunctionType) and isinstance(old, FunctionType):
        if _has_same_code(new, old):
            return any(
                _is_newer(one, other, old_execution, depth + 1)
                for one, other in zip(_cells(new), _cells(old), strict=True)
            )
        return _is_compiled_again(new, old, old_execution)
    if isinstance(new, MethodType) and isinstance(old, MethodType):
        return _is_newer(new.__func__, old.__func__, old_execution, depth + 1)
    if isinstance(new, functools.partial) and isinstance(old, functools.partial):
        return _is_newer(new.func, old.func, old_execution, depth + 1)
    one, other = (getattr(type(each), "__call__", None) for each in (new, old))  # noqa: B004
    return type(new) is not type(old) and _is_newer(one, other, old_execution, depth + 1)


def _is_compiled_again(new: FunctionType, old: FunctionType, old_execution: object) -> bool:
    if (new.__module__, new.__qualname__) != (old.__module__, old.__qualname__):
        return False
    if new.__globals__ is not old.__globals__ or module_execution(new) is not old_execution:
        return True
    return _is_rerun(new.__code__, old.__code__, is_module=old_execution is not None)


def _is_rerun(new: CodeType, old: CodeType, *, is_module: bool) -> bool:
    """Return whether a cell of a notebook, or a line at a prompt, was run again."""
    if new.co_name == "<lambda>":
        return False
    if new.co_filename != old.co_filename:
        return not is_module  # each version of a cell has a file name of its own
    return new.co_firstlineno == old.co_firstlineno


def _has_same_code(new: FunctionType, old: FunctionType) -> bool:
    return new.__code__ is old.__code__ and new.__globals__ is old.__globals__


def _values(function: FunctionType) -> tuple[Any, ...]:
    return function.__defaults__, function.__kwdefaults__, tuple(_cells(function))


def _cells(function: FunctionType) -> list[Any]:
    return [_content(cell) for cell in function.__closure__ or ()]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable without a value
        return None


def _innermost(function: Any) -> Any:
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    inner = getattr(inner, "__func__", inner)
    if not isinstance(inner, FunctionType):
        inner = getattr(type(inner), "__call__", inner)  # noqa: B004
    return inspect.unwrap(inner)
