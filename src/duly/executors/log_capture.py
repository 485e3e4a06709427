"""Captures the log lines of runs: one handler on the root logger, shared by all workers."""

from __future__ import annotations

import logging
import threading

from duly.context import current_run
from duly.model.run import LogLine


class RunLogHandler(logging.Handler):
    """Adds log records of level INFO and above to the run that logged them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._users = 0
        self._count = threading.Lock()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Add one record to the current run, if there is one."""
        run = current_run.get()
        if run is None:
            return
        try:
            message = self.format(record)
        except Exception:  # noqa: BLE001 - as the logging handlers of Python do
            self.handleError(record)
            return
        run.captured.add(LogLine(run.now(), record.levelname, record.name, message))

    def install(self) -> None:
        """Capture until every caller of this has called `remove`.

        The logger of runs passes INFO, whatever the root logger's level is.
        """
        with self._count:
            self._users += 1
            if self._users == 1:
                logging.getLogger().addHandler(self)
                logger = logging.getLogger("duly.run")
                if logger.level == logging.NOTSET:
                    logger.setLevel(logging.INFO)

    def remove(self) -> None:
        """Stop capturing for one caller of `install`."""
        with self._count:
            self._users -= 1
            if self._users == 0:
                logging.getLogger().removeHandler(self)


run_log_handler = RunLogHandler()
"""The one handler of this process."""
