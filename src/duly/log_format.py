"""Formats of log lines that show which run they are about, as text and as JSON.

The commands of Duly use them, and applications can name them in their own logging configuration.
Messages contain text of users and of other systems. Control characters in it are shown escaped, so
that it can neither forge a line nor send commands to the terminal (security rule 9).
"""

from __future__ import annotations

import json
import logging

from duly.context import current_run
from duly.model.text import printable
from duly.run_log import RUN_FIELDS, stamp

TIME = "%Y-%m-%dT%H:%M:%S%z"
MARGIN = "  | "
"""Begins each line of a traceback, so that none can be taken for a line of the log."""


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
    """Formats a log record as one line of JSON.

    Its fields are ``at``, ``level``, ``logger`` and ``message``; those of the run if the record has
    them (`RUN_FIELDS`); and ``error``, the traceback, if there is one.
    """

    def __init__(self) -> None:
        super().__init__(datefmt=TIME)

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        fields = {
            "at": self.formatTime(record, TIME),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: vars(record)[name] for name in RUN_FIELDS if name in vars(record)}
        if error := _traceback(self, record):
            fields["error"] = error
        return json.dumps(fields, default=str).replace("\x7f", "\\u007f")


def stamp_current_run(record: logging.LogRecord) -> bool:
    """Add the fields of the run whose function is logging to a record, and keep the record.

    It is a filter for handlers, which see the records of all loggers. The lines of `Run.log` and
    those of Duly about a run have these fields without it.
    """
    run = current_run.get()
    if run is not None:
        stamp(record, run)
    return True


def _of_run(record: logging.LogRecord) -> str:
    """Return which run has written a line, unless the message itself tells that."""
    fields = vars(record)
    if "duly_run" not in fields or fields["duly_run"] in record.getMessage():
        return ""
    return f"{fields.get('duly_job') or fields.get('duly_task')} {fields['duly_run']}: "


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    if record.exc_text:
        return record.exc_text
    return formatter.formatException(record.exc_info) if record.exc_info else None
