"""Logging with the job and the run on every line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from duly import Run

log = logging.getLogger(__name__)

_FORMAT = "%(asctime)s [%(levelname)s] %(name)s%(run)s: %(message)s"
_current: ContextVar[str] = ContextVar("run", default="")


@contextmanager
def log_run_id(run: Run) -> Iterator[None]:
    """Add the job and the id of a run to every line logged inside the block."""
    token = _current.set(f" [{run.job_id or run.task} {run.id}]")
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def log_start_and_end(run: Run) -> Iterator[None]:
    """Log that a run starts, and how it has ended: with which counts, or with which error."""
    log.info("Started, attempt %d.", run.attempt)
    try:
        yield
    except BaseException as error:
        log.info("Ended with %s.", type(error).__name__)
        raise
    counts = ", ".join(f"{name} {count}" for name, count in run.counters.items())
    log.info("Ended: %s.", counts or "nothing was counted")


class _RunName(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.run = _current.get()
        return True


def set_up_logging(level: str) -> None:
    """Log to standard error."""
    handler = logging.StreamHandler()
    handler.addFilter(_RunName())
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("alembic").setLevel("WARNING")
