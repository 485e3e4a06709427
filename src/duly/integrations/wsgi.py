"""Start the scheduler in the process that serves a WSGI application, and stop it with that process.

WSGI has no lifespan protocol, so the moment has to be detected. In a gunicorn worker it is the end
of the worker's boot, even when the application was loaded before the fork (``--preload``): the
arbiter itself never starts anything. The adapter of a framework knows that framework's own server,
and calls `WSGILifespan.begin_when`. Behind any other server it is the first request. Shells,
commands, migrations and test clients start nothing.
"""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from duly.errors import DulyError
from duly.scheduler import Scheduler

log = logging.getLogger("duly")
LOOK_EVERY = 0.02
FROM_A_SERVER = {"SERVER_SOFTWARE", "REMOTE_PORT"}
"""Servers tell an application one of these or both; test clients tell neither."""

WSGIApplication = Callable[..., Iterable[bytes]]


class WSGILifespan:
    """The life of a scheduler in the processes of one WSGI application.

    A process forked from one in which the scheduler has begun stays without it.

    Args:
        scheduler: what starts and stops.
        grace: how many seconds running functions get at the end; default: the scheduler's own.
    """

    def __init__(self, scheduler: Scheduler, *, grace: float | None = None) -> None:
        self._scheduler = scheduler
        self._grace = grace
        self._begun_in: int | None = None
        self._lock = threading.Lock()
        _all.add(self)

    def begin(self) -> None:
        """Start, in the background, unless that was done before; stop when the process ends."""
        with self._lock:
            if self._begun_in is not None:
                return
            self._begun_in = os.getpid()
        atexit.register(self.end)
        _in_background(self._start)

    def require_database(self) -> None:
        """Contact the database now, if the host must not be served without it.

        Raises:
            DatabaseUnavailable: only of a scheduler made with ``start="required"``.
        """
        if self._scheduler.settings.required:
            self._scheduler.store.prepare()

    def begin_when(self, ready: Callable[[], bool]) -> None:
        """`begin` as soon as ``ready()`` is true: the application is loaded, and to be served."""

        def wait() -> None:
            never, clock = threading.Event(), self._scheduler.clock
            while not ready():
                clock.wait(never, LOOK_EVERY)
            self.begin()

        _in_background(wait)

    def begin_in_gunicorn(self) -> bool:
        """`begin` once this worker of gunicorn has booted; in any other process nothing.

        Returns:
            Whether this is one.
        """
        worker = _gunicorn_worker()
        if worker is None:
            return False
        self.begin_when(lambda: bool(worker.booted))
        return True

    def at_first_request(self, application: WSGIApplication) -> WSGIApplication:
        """The same application; a request that a server brings begins the scheduler."""

        def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if self._begun_in is None and not FROM_A_SERVER.isdisjoint(environ):
                self.begin()
            return application(environ, start_response)

        return serve

    def end(self) -> None:
        """Stop what was begun in this very process: runs that do not finish are given back."""
        if self._begun_in == os.getpid():
            self._scheduler.stop(self._grace)

    def _start(self) -> None:
        try:
            self._scheduler.start()
        except DulyError as error:
            log.critical("the scheduler could not start: %s", error)
            if self._scheduler.settings.required:
                os.kill(os.getpid(), signal.SIGTERM)


def end_in_order_on_sigterm() -> None:
    """Let SIGTERM end this process as `sys.exit` does, where it would end it on the spot.

    A handler that somebody has set stays.
    """
    here = threading.current_thread() is threading.main_thread()
    if here and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def _gunicorn_worker() -> Any:
    """The worker object of gunicorn, if this code runs in a worker that boots or was just forked.

    Gunicorn tells an application nothing about it; but its call that makes a worker is going on.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if (
            frame.f_code.co_name == "spawn_worker"
            and frame.f_globals.get("__name__") == "gunicorn.arbiter"
        ):
            return frame.f_locals.get("worker")
        frame = frame.f_back
    return None


def _in_background(target: Callable[[], None]) -> None:
    threading.Thread(target=target, name="duly-start", daemon=True).start()


def _after_fork() -> None:
    for lifespan in list(_all):
        lifespan.begin_in_gunicorn()


_all: weakref.WeakSet[WSGILifespan] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
