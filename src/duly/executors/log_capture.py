"""Captures what functions log through any logger, without touching the host's configuration.

`logging.Logger.callHandlers` is wrapped while a worker runs. No handler is added to any logger,
because a handler on the root logger changes what the host logs: ``basicConfig`` does nothing beside
it, Flask adds no handler of its own, and Python's last resort is not used. See decision 0020.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from duly.context import current_run
from duly.run_log import RunLogger

_Deliver = Callable[[logging.Logger, logging.LogRecord], Any]


class LogCapture:
    """Adds log records of level INFO and above to the run that logged them.

    A record is captured where the logger would pass it to its handlers, so that levels, filters and
    disabled loggers apply.
    """

    def __init__(self) -> None:
        self._users = 0
        self._lock = threading.Lock()
        self._wrapped: _Deliver | None = None
        self._wrapper: _Deliver | None = None

    def install(self) -> None:
        """Capture until every caller of this has called `remove`."""
        with self._lock:
            self._users += 1
            if self._wrapper is None:
                self._wrapped = logging.Logger.callHandlers
                self._wrapper = _capturing(self._wrapped)
                _set(self._wrapper)

    def remove(self) -> None:
        """Stop capturing for one caller of `install`.

        If another library has wrapped the same method meanwhile, the wrapper stays in its chain.
        """
        with self._lock:
            self._users -= 1
            if self._users == 0 and logging.Logger.callHandlers is self._wrapper:
                if self._wrapped is not None:
                    _set(self._wrapped)
                self._wrapped = self._wrapper = None


def _set(deliver: _Deliver) -> None:
    # mypy refuses what decision 0020 gives the reasons for.
    logging.Logger.callHandlers = deliver  # type: ignore[method-assign,assignment]


def _capturing(deliver: _Deliver) -> _Deliver:
    def callHandlers(logger: logging.Logger, record: logging.LogRecord) -> Any:  # noqa: N802
        run = current_run.get()
        if run is not None and not isinstance(logger, RunLogger):
            if record.levelno >= logging.INFO:
                run.capture(record)
            record = run.shown(record)
        return deliver(logger, record)

    return callHandlers


log_capture = LogCapture()
"""The one capture of this process."""
