"""Start the scheduler in the process that serves a WSGI application, and stop it with that process.

WSGI has no lifespan protocol, so the moment has to be detected. In a gunicorn worker it is the end
of the worker's boot, even when the application was loaded before the fork (``--preload``): the
arbiter itself never starts anything. The adapter of a framework knows that framework's own server,
and calls `WSGILifespan.begin_when`. Behind any other server it is the first request. Shells,
commands, migrations and test clients start nothing.

A process that leaves the work to others only needs the tables; see `prepare_at_first_request`.
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

from duly import forking
from duly.errors import DatabaseUnavailable, DulyError
from duly.scheduler import Scheduler

log = logging.getLogger("duly")
POLL_INTERVAL_S = 0.02
SERVER_KEYS = {"SERVER_SOFTWARE", "REMOTE_PORT"}
"""Keys that servers set in the WSGI environment, at least one of them; test clients set neither."""

WSGIApplication = Callable[..., Iterable[bytes]]


class WSGILifespan:
    """Starts and stops a scheduler in the processes of one WSGI application.

    If a process forks after the scheduler has started, the child process does not start it again.

    Args:
        scheduler: the scheduler to start and stop.
        grace: the seconds that running functions get to finish; default: the scheduler's own.
    """

    def __init__(self, scheduler: Scheduler, *, grace: float | None = None) -> None:
        self._scheduler = scheduler
        self._grace = grace
        self._begun_in: int | None = None
        self._lock = threading.Lock()
        _all.add(self)

    def begin(self) -> None:
        """Start in the background, unless that has happened; stop when the process ends.

        In a test (`Scheduler.in_test`) there is no background, and the test ends the scheduler.
        """
        if self._scheduler.in_test:
            self._start()
            return
        with self._lock:
            if self._begun_in is not None:
                return
            self._begun_in = os.getpid()
        atexit.register(self.end)
        _in_background(self._start)

    def require_database(self) -> None:
        """Connect to the database now, if the scheduler was created with ``start="required"``.

        Raises:
            DatabaseUnavailable: the database does not respond.
        """
        if self._scheduler.settings.required:
            self._scheduler.store.prepare()

    def begin_when(self, ready: Callable[[], bool]) -> None:
        """Call `begin` as soon as ``ready()`` is true, that is, when the application is loaded."""

        def wait() -> None:
            never, clock = threading.Event(), self._scheduler.clock
            while not ready():
                clock.wait(never, POLL_INTERVAL_S)
            self.begin()

        _in_background(wait)

    def begin_in_gunicorn(self) -> bool:
        """Call `begin` once this gunicorn worker has booted; do nothing in other processes.

        Gunicorn's own hook calls it, on the worker's main thread: a worker of gevent replaces the
        threads of its process while it boots, and one that was started before would not see that.

        Returns:
            Whether this process is a gunicorn worker.
        """
        worker = _gunicorn_worker()
        if worker is None:
            return False
        hook = worker.cfg.post_worker_init

        def booted(worker: Any) -> None:
            hook(worker)
            if forking.patched_by() is not None:
                forking.renew()
            self.begin()

        worker.cfg.set("post_worker_init", booted)
        return True

    def at_first_request(self, application: WSGIApplication) -> WSGIApplication:
        """Return the application, extended to call `begin` at the first request from a server."""

        def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if self._begun_in is None and not SERVER_KEYS.isdisjoint(environ):
                self.begin()
            return application(environ, start_response)

        return serve

    def end(self) -> None:
        """Stop the scheduler if this process started it; unfinished runs are given back."""
        if self._begun_in == os.getpid():
            self._scheduler.stop(self._grace)

    def _start(self) -> None:
        try:
            self._scheduler.start()
        except DulyError as error:
            log.critical("The scheduler could not start: %s", error)
            if self._scheduler.settings.required:
                os.kill(os.getpid(), signal.SIGTERM)


def prepare_at_first_request(application: WSGIApplication, scheduler: Scheduler) -> WSGIApplication:
    """Return the application, extended to create the tables before its first request from a server.

    A request could not create them later if its own transaction has locked an SQLite file.
    """
    lock = threading.Lock()
    prepared = False

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        nonlocal prepared
        if not prepared and not SERVER_KEYS.isdisjoint(environ):
            with lock:
                if not prepared:
                    _prepare(scheduler)
                    prepared = True
        return application(environ, start_response)

    return serve


def _prepare(scheduler: Scheduler) -> None:
    try:
        scheduler.prepare()
    except DatabaseUnavailable:  # which the store has logged
        pass
    except DulyError as error:
        log.critical("The scheduler could not be prepared: %s", error)


def end_in_order_on_sigterm() -> None:
    """Make SIGTERM exit this process through `sys.exit`, so that exit handlers are called.

    A handler that is already set is kept.
    """
    here = threading.current_thread() is threading.main_thread()
    if here and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def _gunicorn_worker() -> Any:
    """Return gunicorn's worker object, if this process is a gunicorn worker that is booting.

    Gunicorn does not pass it to the application, but its call that creates the worker is on the
    stack.
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
