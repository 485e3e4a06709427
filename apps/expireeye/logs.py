"""Log lines that say which job and run they belong to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from duly import Run

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s%(run)s: %(message)s"
_current: ContextVar[str] = ContextVar("expireeye_run", default="")


@contextmanager
def names_run(run: Run) -> Iterator[None]:
    """Around a run: its job and id appear on every line."""
    token = _current.set(f" [{run.job_id} {run.id}]")
    try:
        yield
    finally:
        _current.reset(token)


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
