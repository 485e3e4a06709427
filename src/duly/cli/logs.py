"""What an operator reads while a command runs: one line for each thing that happened."""

from __future__ import annotations

import json
import logging
import sys

LEVELS = ("debug", "info", "warning", "error")
TIME = "%Y-%m-%dT%H:%M:%S%z"
_CHATTY = ("alembic", "sqlalchemy", "asyncio")


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        held = {
            "at": self.formatTime(record, TIME),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            held["error"] = self.formatException(record.exc_info)
        return json.dumps(held)


def configure_logging(level: str, *, as_json: bool) -> None:
    """Send log lines to standard error, unless the application has its own logging already.

    Args:
        level: one of `LEVELS`; the least that is written.
        as_json: each line is a JSON object.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", TIME)
    handler.setFormatter(JsonLines() if as_json else text)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
