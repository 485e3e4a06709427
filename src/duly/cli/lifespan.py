"""The lifespan of the web application in a process that does not serve it."""

from __future__ import annotations

import asyncio
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import duly
from duly.cli.lazy import FAILED
from duly.errors import DulyError
from duly.executors.entered_context import enter_on_loop
from duly.model.text import printable
from duly.scheduler import Scheduler

_LIBRARIES = tuple(
    {*sysconfig.get_paths().values(), str(Path(duly.__file__).parent), "<frozen"} - {""}
)
"""How the names of files begin that are not the application's."""


@contextmanager
def application_lifespan(scheduler: Scheduler) -> Iterator[None]:
    """Enter the lifespan of the scheduler's web application, so that jobs find what it opens.

    It lives on an event loop of its own, on which coroutine jobs run too. An application without a
    lifespan, such as one of Flask, and a scheduler without an application need nothing.

    Raises:
        SystemExit: the lifespan raised; its traceback is printed, without the frames of libraries.
        DulyError: the lifespan raised this.
    """
    lifespan = getattr(getattr(scheduler.app, "router", None), "lifespan_context", None)
    if lifespan is None:
        yield
        return
    with _loop() as loop:
        scheduler.attach(loop)
        with _reported("failed to start"):
            _state, leave = enter_on_loop(lifespan(scheduler.app), loop)
        try:
            yield
        finally:
            with _reported("failed to end"):
                leave()


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Print an error of the application, and end the process."""
    try:
        yield
    except DulyError:  # which the command prints as one line
        raise
    except Exception as error:  # noqa: BLE001 - whatever the application's code raises
        shown = traceback.TracebackException.from_exception(error)
        _leave_out_libraries(shown)
        for line in "".join(shown.format()).splitlines():
            click.echo(printable(line), err=True)
        click.echo(f"duly: the application's lifespan {what}; see the traceback above", err=True)
        raise SystemExit(FAILED) from None


def _leave_out_libraries(shown: traceback.TracebackException | None) -> None:
    """Keep the frames of the application; if there is none, the last one."""
    if shown is None:
        return
    own = [frame for frame in shown.stack if not frame.filename.startswith(_LIBRARIES)]
    shown.stack = traceback.StackSummary.from_list(own or shown.stack[-1:])
    for part in (shown.__cause__, shown.__context__, *(shown.exceptions or ())):
        _leave_out_libraries(part)


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="duly-app", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
