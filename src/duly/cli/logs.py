"""The log of a command: one line on standard error for each event.

Messages contain text of users and of other systems. Control characters in it are shown escaped, so
that it can neither forge a line nor send commands to the terminal (security rule 9).
"""

from __future__ import annotations

import json
import logging
import sys

from duly.context import current_run
from duly.model.text import printable
from duly.run_log import stamp

LEVELS = ("debug", "info", "warning", "error")
TIME = "%Y-%m-%dT%H:%M:%S%z"
MARGIN = "  | "
"""Begins each line of a traceback, so that none can be taken for a line of the log."""

_VERBOSE = ("alembic", "sqlalchemy", "asyncio")
_FIELDS = ("run_id", "job_id", "task", "attempt")


class TextLines(logging.Formatter):
    """Formats a log record as one line, followed by the indented lines of its traceback."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", TIME)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of logging.Formatter
        """Return the record's line."""
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`; it does not change the record."""
        record = logging.makeLogRecord(vars(record))
        record.message = _of_run(record) + record.getMessage()
        record.asctime = self.formatTime(record, TIME)
        lines = [self.formatMessage(record)]
        for part in (_traceback(self, record), record.stack_info):
            lines += [MARGIN + printable(line) for line in (part or "").split("\n") if line]
        return "\n".join(lines)


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
        fields |= {name: vars(record)[name] for name in _FIELDS if name in vars(record)}
        if error := _traceback(self, record):
            fields["error"] = error
        return json.dumps(fields, default=str).replace("\x7f", "\\u007f")


def stamp_current_run(record: logging.LogRecord) -> bool:
    """Add the fields of the run whose function is logging to a record of any logger; keep it."""
    run = current_run.get()
    if run is not None:
        stamp(record, run)
    return True


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


def _of_run(record: logging.LogRecord) -> str:
    """Return which run has written a line, unless the message itself tells that."""
    fields = vars(record)
    if "run_id" not in fields or fields["run_id"] in record.getMessage():
        return ""
    return f"{fields.get('job_id') or fields.get('task')} {fields['run_id']}: "


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    if record.exc_text:
        return record.exc_text
    return formatter.formatException(record.exc_info) if record.exc_info else None
