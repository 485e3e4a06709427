"""The log of a command: one line on standard error for each event."""

from __future__ import annotations

import logging
import sys

from duly.log_format import JsonLines, TextLines, stamp_current_run

LEVELS = ("debug", "info", "warning", "error")
_VERBOSE = ("alembic", "sqlalchemy", "asyncio")


def configure_logging(level: str, *, as_json: bool) -> None:
    """Write log lines to standard error, unless the application has configured logging.

    Args:
        level: the lowest level to write; one of `LEVELS`.
        as_json: whether each line is a JSON object.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    handler.addFilter(stamp_current_run)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
