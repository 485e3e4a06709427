"""`Scheduler` and `Aio` are two tables of the same operations."""

from __future__ import annotations

import inspect

import pytest

from duly.scheduler import Aio, Scheduler

BLOCK_NOTHING = {
    *("around", "attach", "configure_worker", "declared", "in_flight", "include", "lifespan"),
    *("load", "notify", "observe", "on"),
    *("running", "skip_grace", "task", "use_database", "wake", "within"),
}
"""Calls that touch no database, or that are context managers: they need no awaitable form."""


def calls(table: type) -> set[str]:
    return {
        name for name in dir(table) if not name.startswith("_") and callable(getattr(table, name))
    }


def test_every_call_that_may_block_has_an_awaitable_form() -> None:
    """A coroutine can do all that a thread can, without blocking its loop."""
    assert calls(Scheduler) - calls(Aio) == BLOCK_NOTHING
    assert calls(Aio) <= calls(Scheduler)


# `Scheduler.job` is also a decorator; `Aio.job` only reads a job. `enqueue` has typed forms.
@pytest.mark.parametrize("name", sorted(calls(Aio) - {"job"}))
def test_both_forms_are_one_operation(name: str) -> None:
    """They have the same parameters and the same docstring, and ``aio`` returns a coroutine."""
    sync, awaitable = getattr(Scheduler, name), getattr(Aio, name)
    assert inspect.signature(awaitable) == inspect.signature(sync)
    assert inspect.getdoc(awaitable) == inspect.getdoc(sync)
    assert inspect.iscoroutinefunction(awaitable) or name == "enqueue"


def test_the_awaitable_enqueue_returns_a_coroutine(scheduler: Scheduler) -> None:
    """Nothing happens before it is awaited."""
    call = scheduler.aio.enqueue("no such task")
    assert inspect.iscoroutine(call)
    call.close()
