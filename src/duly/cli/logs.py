"""The log of a command: one line on standard error for each event."""

from __future__ import annotations

import json
import logging
import sys

LEVELS = ("debug", "info", "warning", "error")
TIME = "%Y-%m-%dT%H:%M:%S%z"
_VERBOSE = ("alembic", "sqlalchemy", "asyncio")


class JsonLines(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        fields = {
            "at": self.formatTime(record, TIME),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields)


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
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", TIME)
    handler.setFormatter(JsonLines() if as_json else text)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
