"""The lifespan of the web application in a process that does not serve it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from duly.executors.entered_context import enter_on_loop
from duly.scheduler import Scheduler


@contextmanager
def application_lifespan(scheduler: Scheduler) -> Iterator[None]:
    """Enter the lifespan of the scheduler's web application, so that jobs find what it opens.

    It lives on an event loop of its own, on which coroutine jobs run too. An application without a
    lifespan, such as one of Flask, and a scheduler without an application need nothing.
    """
    lifespan = getattr(getattr(scheduler.app, "router", None), "lifespan_context", None)
    if lifespan is None:
        yield
        return
    with _loop() as loop:
        scheduler.attach(loop)
        _state, leave = enter_on_loop(lifespan(scheduler.app), loop)
        try:
            yield
        finally:
            leave()


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
