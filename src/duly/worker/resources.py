"""The resources that jobs need, open while this worker executes runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager

from duly.context import ABSENT, Provided
from duly.errors import ConfigurationError
from duly.executors.base import CoroutineExecutor
from duly.model.settings import OpenResources

log = logging.getLogger("duly.worker")


class Resources:
    """The context manager of ``Scheduler(resources=…)``, which `open` enters and `close` leaves.

    Args:
        enter: returns the context manager; ``None`` if there are no resources.
        provided: where runs find what the context manager returns.
        coroutines: returns the executor on whose event loop an asynchronous context manager lives.
    """

    def __init__(
        self,
        enter: OpenResources | None,
        provided: Provided,
        coroutines: Callable[[], CoroutineExecutor],
    ) -> None:
        self._enter = enter
        self._provided = provided
        self._coroutines = coroutines
        self._leave: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Enter the context manager, unless that has happened.

        Raises:
            ConfigurationError: the function does not return a context manager.
            LifecycleError: it would block the event loop that it needs.
        """
        if self._enter is None:
            return
        with self._lock:
            if self._leave is not None:
                return
            manager: object = self._enter()
            if isinstance(manager, AbstractAsyncContextManager):
                self._provided.resources, self._leave = self._coroutines().enter(manager)
            elif isinstance(manager, AbstractContextManager):
                self._provided.resources = manager.__enter__()
                self._leave = lambda: manager.__exit__(None, None, None)
            else:
                raise ConfigurationError(
                    f"resources= returned {type(manager).__name__}, which is not a context "
                    "manager; decorate the function with @contextmanager or @asynccontextmanager"
                )

    def close(self) -> bool:
        """Leave the context manager, once nothing is executed any more; log its error, if any.

        Returns:
            Whether it was open.
        """
        with self._lock:
            leave, self._leave = self._leave, None
            self._provided.resources = ABSENT
        if leave is None:
            return False
        try:
            leave()
        except Exception:
            log.exception("resources= raised an error when it was left.")
        return True
